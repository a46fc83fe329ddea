/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_nt: the part of the NT kernel our drivers call, on the host: devices, IRPs, MDLs, as the WDK
 * documentation describes them, over the POSIX port's levels and threads. Drivers built with
 * VCK_FAKE_NT include it in place of the WDK's headers; names and shapes are therefore NT's.
 *
 * It stops the program when a driver breaks a rule: an IRP completed twice, a completion without a
 * stack location left, a stack location marked pending when its dispatch routine did not return
 * STATUS_PENDING or the other way round, an MDL freed while mapped, a reference too many. What a
 * driver touches after it has given it away is freed memory, for the address sanitizer to find.
 */
#ifndef VCK_FAKE_NT_H
#define VCK_FAKE_NT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NTAPI
#define VOID  void
#define TRUE  1
#define FALSE 0

typedef void *PVOID;
typedef int8_t CHAR;
typedef int8_t CCHAR;
typedef uint8_t UCHAR;
typedef uint8_t BOOLEAN;
typedef int16_t CSHORT;
typedef uint16_t USHORT;
typedef uint16_t WCHAR;
typedef WCHAR *PWSTR;
typedef const WCHAR *PCWSTR;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef ULONG *PULONG;
typedef int64_t LONGLONG;
typedef uint64_t ULONGLONG;
typedef uint64_t ULONG_PTR;
typedef size_t SIZE_T;
typedef int32_t NTSTATUS;
typedef uint8_t KIRQL;
typedef int8_t KPROCESSOR_MODE;
typedef ULONG DEVICE_TYPE;

typedef union {
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER;

typedef struct {
    USHORT Length;
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct {
    UNICODE_STRING Name;
} OBJECT_NAME_INFORMATION, *POBJECT_NAME_INFORMATION;

typedef struct list_entry {
    struct list_entry *Flink;
    struct list_entry *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct {
    NTSTATUS Status;
    ULONG_PTR Information;
} IO_STATUS_BLOCK;

/* ---- statuses: ntstatus.h ---- */

#define NT_SUCCESS(status)              ((NTSTATUS)(status) >= 0)
#define STATUS_SUCCESS                  ((NTSTATUS)0)
#define STATUS_PENDING                  ((NTSTATUS)0x00000103)
#define STATUS_BUFFER_OVERFLOW          ((NTSTATUS)0x80000005)
#define STATUS_VERIFY_REQUIRED          ((NTSTATUS)0x80000016)
#define STATUS_UNSUCCESSFUL             ((NTSTATUS)0xC0000001)
#define STATUS_INVALID_PARAMETER        ((NTSTATUS)0xC000000D)
#define STATUS_NO_SUCH_DEVICE           ((NTSTATUS)0xC000000E)
#define STATUS_INVALID_DEVICE_REQUEST   ((NTSTATUS)0xC0000010)
#define STATUS_NONEXISTENT_SECTOR       ((NTSTATUS)0xC0000015)
#define STATUS_MORE_PROCESSING_REQUIRED ((NTSTATUS)0xC0000016)
#define STATUS_BUFFER_TOO_SMALL         ((NTSTATUS)0xC0000023)
#define STATUS_DELETE_PENDING           ((NTSTATUS)0xC0000056)
#define STATUS_INSUFFICIENT_RESOURCES   ((NTSTATUS)0xC000009A)
#define STATUS_DEVICE_DATA_ERROR        ((NTSTATUS)0xC000009C)
#define STATUS_MEDIA_WRITE_PROTECTED    ((NTSTATUS)0xC00000A2)
#define STATUS_NOT_SUPPORTED            ((NTSTATUS)0xC00000BB)
#define STATUS_UNEXPECTED_IO_ERROR      ((NTSTATUS)0xC00000E9)
#define STATUS_CANCELLED                ((NTSTATUS)0xC0000120)
#define STATUS_IO_DEVICE_ERROR          ((NTSTATUS)0xC0000185)

/* ---- lists and strings ---- */

static inline void InitializeListHead(PLIST_ENTRY head)
{
    head->Flink = head;
    head->Blink = head;
}

static inline void InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    entry->Flink = head;
    entry->Blink = head->Blink;
    head->Blink->Flink = entry;
    head->Blink = entry;
}

static inline BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
    entry->Blink->Flink = entry->Flink;
    entry->Flink->Blink = entry->Blink;
    return entry->Flink == entry->Blink;
}

void RtlInitUnicodeString(PUNICODE_STRING string, PCWSTR from);
BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN ignore_case);

#include "fake_nt_io.h"
#include "fake_nt_system.h"

#endif
