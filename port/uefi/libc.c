/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler and the core take from a C library: there is none here. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *p, int value, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);

void *memcpy(void *to, const void *from, size_t size)
{
    void *at = to;

    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *last = (uint8_t *)to + size - 1;
    const uint8_t *from_last = (const uint8_t *)from + size - 1;

    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    __asm__ volatile("std; rep movsb; cld" : "+D"(last), "+S"(from_last), "+c"(size) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t size)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < size; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

void *memchr(const void *p, int value, size_t size)
{
    const uint8_t *bytes = p;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] == (uint8_t)value)
            return (void *)(uintptr_t)(bytes + i);
    return NULL;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != 0)
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}
