/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_loop: image files that a loop device has. It takes no lock on its file, so two would write.
 */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "port/posix/disk_internal.h"

#define BACKING_FILES "/sys/block/loop*/loop/backing_file"

static bool is_backing_file(const char *sys_path, const struct stat *st)
{
    char path[4096];
    struct stat backing;
    bool is_same = false;
    FILE *f = fopen(sys_path, "re");
    if (f == NULL)
        return false;
    if (fgets(path, sizeof(path), f) != NULL) {
        path[strcspn(path, "\n")] = 0;
        is_same = stat(path, &backing) == 0 && backing.st_dev == st->st_dev &&
                  backing.st_ino == st->st_ino;
    }
    fclose(f);
    return is_same;
}

bool vck_posix_find_loop(const struct stat *st, char ret_name[LOOP_NAME_BYTES])
{
    glob_t found;
    bool is_found = false;
    if (glob(BACKING_FILES, 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc && !is_found; i++) {
        is_found = is_backing_file(found.gl_pathv[i], st);
        if (is_found)
            sscanf(found.gl_pathv[i], "/sys/block/%15[^/]", ret_name);
    }
    globfree(&found);
    return is_found;
}
