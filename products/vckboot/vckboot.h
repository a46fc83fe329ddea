/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vckboot: what the files of the loader share: questions to the person in front of the machine,
 * files of the firmware's, what is told to the next stage, and starting it.
 */
#ifndef VCK_VCKBOOT_VCKBOOT_H
#define VCK_VCKBOOT_VCKBOOT_H

#include "port/uefi/uefi.h"
#include "vck/boot_config.h"
#include "vck/bytes.h"

#define BOOT_TAG VCK_TAG('b', 'o', 'o', 't')

/* ---- console.c ---- */

/* The next key, or NOT_READY when none came within timeout_s seconds (0: waits for ever). A key
 * without a character, like Esc, has its scan code. */
VCK_CHECKED vck_status console_key(uint32_t timeout_s, struct efi_input_key *ret_key);

enum way_on { WAY_RETRY, WAY_NEXT };

/* Asks how to go on after a failure, which has been said. Does not return when the answer is the
 * firmware's setup and it can be reached. */
enum way_on console_ask_way_on(uint32_t timeout_s);

/* ---- file.c ---- */

/* Opens a file for reading on the file system of this handle. NOT_FOUND, UNSUPPORTED (no file
 * system there), or the firmware's. */
VCK_CHECKED vck_status file_open(efi_handle volume, const char *path, struct efi_file **ret_file);

/* INVALID_DATA: a directory. */
VCK_CHECKED vck_status file_size(struct efi_file *file, uint64_t *ret_size_bytes);

/* Reads exactly this much. IO when there is less. */
VCK_CHECKED vck_status file_read(struct efi_file *file, void *buffer, uint64_t size_bytes);

/* All of a small file, for vck_free_pages with *ret_size_bytes. SIZE_MISMATCH: longer than
 * most_bytes. Otherwise as above; NO_MEMORY. */
VCK_CHECKED vck_status file_read_all(efi_handle volume, const char *path, size_t most_bytes,
                                     uint8_t **ret_data, size_t *ret_size_bytes);

/* UTF-16 with its NUL from UTF-8, for vck_free; NULL: no memory, or not UTF-8. */
efi_char *text_widen(const char *text, size_t *ret_size_bytes);

/* ---- measure.c ---- */

/* Extends PCR 12 with the digest of the configuration, where there is a TPM 2.0. The event log gets
 * its name, not its content. A failure has been said: it is for the one who checks the PCR to
 * act. */
void measure_config(struct vck_bytes config);

/* ---- publish.c ---- */

/* Tells the next stage: the payload in memory that the operating system keeps, its place in a
 * firmware variable and an ACPI table. OK when at least one of them could be published. */
VCK_CHECKED vck_status publish(const struct vck_guid *partition, struct vck_bytes vmk);

/* Takes back and wipes what was published; harmless when nothing was. */
void publish_undo(void);

/* ---- initrd.c ---- */

/* Answers a Linux kernel's request for its initrd with the file, unless path is empty, and the
 * handover behind it, unless it is empty. The file is read when the kernel asks. */
VCK_CHECKED vck_status initrd_offer(efi_handle volume, const char *path,
                                    const struct vck_guid *partition, struct vck_bytes vmk);

/* Harmless when nothing is offered. */
void initrd_withdraw(void);

/* ---- start.c ---- */

/* Loads and starts a program from this volume, and returns when it returned or could not be
 * started; the reason has then been said. */
void start_program(efi_handle volume, const struct vck_boot_config *config);

/* Whether the file is a Linux kernel, by its boot protocol header. */
bool is_linux(efi_handle volume, const char *path);

#endif
