/* SPDX-License-Identifier: Apache-2.0 */
/*
 * used-tool IMAGE [SIZE]: prints what is in use of the file system in the first SIZE bytes of an
 * image, for tests: its name, then a line of offset and size for each range. What is refused ends
 * with 1 and the status and the reason on stderr.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vck/filesystem.h"

static vck_status read_image(void *context, uint64_t offset_bytes, void *buffer, size_t size_bytes)
{
    ssize_t got = pread(*(int *)context, buffer, size_bytes, (off_t)offset_bytes);

    return got >= 0 && (size_t)got == size_bytes ? VCK_OK : VCK_IO;
}

static vck_status print_range(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    (void)context;
    printf("%" PRIu64 " %" PRIu64 "\n", offset_bytes, size_bytes);
    return VCK_OK;
}

int main(int argc, char **argv)
{
    const struct vck_filesystem_sink sink = {print_range, NULL};
    struct vck_filesystem_source source = {.read = read_image};
    struct vck_filesystem_report report;
    struct stat about;
    vck_status status;
    int file;

    if (argc < 2 || (file = open(argv[1], O_RDONLY)) < 0 || fstat(file, &about) != 0)
        return 2;
    source.context = &file;
    source.size_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)about.st_size;
    status = vck_filesystem_used(&source, &sink, &report);
    printf("%s\n", report.name ? report.name : "none");
    if (status)
        fprintf(stderr, "%s: %s\n", vck_status_text(status), report.why ? report.why : "");
    close(file);
    return status ? 1 : 0;
}
