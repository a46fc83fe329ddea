/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_os: a system that starts by way of the boot loader, and one that does not any more.
 */
#include <stdlib.h>
#include <string.h>
#include "products/vck/os.h"
#include "products/vck/os_install.h"

#define LINE_BYTES (VOLUME_PATH_BYTES + 3 * INSTALL_PATH_BYTES)

static void print_step(const struct os_install *install, enum install_step step, bool is_undo)
{
    char line[LINE_BYTES];
    step_describe(install, step, is_undo, line, sizeof(line));
    puts(line);
    fflush(stdout);
}

/* ---- os-prepare ---- */

/* What an earlier run did; *ret_is_update: this one brings it up to date. */
static int check_record(struct os_install *install, bool *ret_is_update)
{
    static struct os_install before;
    before = (struct os_install){.command = install->command};
    memcpy(before.root, install->root, sizeof(before.root));
    int code = record_load(&before);
    *ret_is_update = code == EXIT_OK;
    if (code == EXIT_NOT_FOUND)
        return EXIT_OK;
    if (code != EXIT_OK)
        return code;
    if (!before.is_complete)
        return report(install->command, EXIT_REFUSED,
                      "an earlier os-prepare or os-remove was cut short; vck os-remove takes back "
                      "what is left of it");
    if (!vck_guid_equal(&before.guid, &install->guid) || strcmp(before.name, install->name) != 0 ||
        strcmp(before.esp, install->esp) != 0)
        return report(install->command, EXIT_REFUSED,
                      "%s is installed already as %s, with %s%s; vck os-remove comes first",
                      before.volume, before.name, install->root, before.esp);
    install->recorded = before.recorded;
    install->earlier = before.recorded;
    install->is_complete = true;
    memcpy(install->loader_digest, before.loader_digest, sizeof(before.loader_digest));
    return EXIT_OK;
}

/* From the last to the first; goes on when one cannot be undone, and leaves it in the record. */
static int undo(struct os_install *install, unsigned steps, bool is_told)
{
    int worst = EXIT_OK;
    for (unsigned left = INSTALL_STEP_COUNT; left > 0; left--) {
        enum install_step step = left - 1;
        if ((steps & STEP_BIT(step)) == 0)
            continue;
        if (is_told)
            print_step(install, step, true);
        int code = step_undo(install, step);
        if (code == EXIT_OK) {
            install->recorded &= ~STEP_BIT(step);
            code = record_store(install);
        }
        if (code != EXIT_OK)
            worst = code;
    }
    if (worst == EXIT_OK && install->recorded == 0)
        worst = record_remove(install);
    return worst;
}

static int perform(struct os_install *install, enum install_step step)
{
    print_step(install, step, false);
    int code = step_keep(install, step);
    if (code != EXIT_OK)
        return code;
    install->recorded |= STEP_BIT(step);
    code = record_store(install);
    if (code == EXIT_OK)
        code = step_perform(install, step);
    if (code == EXIT_OK && os_was_interrupted())
        code = report(install->command, EXIT_INTERRUPTED, "interrupted");
    return code;
}

static int perform_all(struct os_install *install, bool is_update)
{
    unsigned fresh = install->wanted & ~install->recorded;
    int code = EXIT_OK;
    install->is_complete = false;
    for (unsigned step = 0; step < INSTALL_STEP_COUNT && code == EXIT_OK; step++)
        if ((install->wanted & STEP_BIT(step)) != 0)
            code = perform(install, step);
    if (code == EXIT_OK) {
        install->is_complete = true;
        return record_store(install);
    }
    if (is_update) {
        warn(install->command, "what was installed before may be half replaced; run it again, or "
                               "vck os-remove");
        install->is_complete = true;
        (void)record_store(install);
        return code;
    }
    warn(install->command, "taking back what was done");
    if (undo(install, fresh & install->recorded, false) != EXIT_OK)
        warn(install->command, "not all of it could be taken back; vck os-remove tries again");
    return code;
}

int run_os_prepare(const struct command *command)
{
    static struct os_install install;
    bool is_update = false;
    install.command = command;
    os_catch_interrupts();
    int code = gather_root(&install);
    if (code == EXIT_OK)
        code = gather_all(&install);
    if (code == EXIT_OK)
        code = check_record(&install, &is_update);
    if (code != EXIT_OK)
        return code;
    if (!initramfs_has_tool(&install))
        warn(command,
             "there is neither initramfs-tools nor dracut%s%s: the initrd must call "
             "vck initrd-unlock by other means",
             *install.root != 0 ? " in " : "", install.root);
    if (!option_given(command, OPTION_DRY_RUN))
        return perform_all(&install, is_update);
    for (unsigned step = 0; step < INSTALL_STEP_COUNT; step++)
        if ((install.wanted & STEP_BIT(step)) != 0)
            print_step(&install, step, false);
    return EXIT_OK;
}

/* ---- os-status and os-remove ---- */

static int load(const struct command *command, struct os_install *install)
{
    install->command = command;
    int code = gather_root(install);
    if (code == EXIT_OK)
        code = record_load(install);
    if (code == EXIT_NOT_FOUND)
        return report(command, EXIT_NOT_FOUND, "the boot loader is not installed%s%s",
                      *install->root != 0 ? " in " : "", install->root);
    gather_mount(install);
    return code;
}

int run_os_status(const struct command *command)
{
    static struct os_install install;
    int code = load(command, &install);
    if (code != EXIT_OK)
        return code;
    printf("%s starts by vckboot%s\n", install.name,
           install.is_complete ? "" : "; os-prepare or os-remove was cut short");
    int worst = install.is_complete ? EXIT_OK : EXIT_PROBLEMS;
    for (unsigned step = 0; step < INSTALL_STEP_COUNT; step++) {
        bool is_ours = (install.recorded & STEP_BIT(step)) != 0 || step == INSTALL_METADATA;
        code = is_ours ? step_check(&install, step) : EXIT_OK;
        if (code != EXIT_OK && worst == EXIT_OK)
            worst = code;
    }
    return worst;
}

/* Without the loader nothing could start from ciphertext. */
static int check_is_plain(const struct os_install *install)
{
    bool is_plain = false;
    int code = volume_is_plain(install, &is_plain);
    if (code == EXIT_OK && !is_plain)
        code = report(install->command, EXIT_REFUSED,
                      "%s is encrypted, in part at least, and nothing but vckboot could start "
                      "from it; vck decrypt comes first",
                      install->volume);
    return code;
}

int run_os_remove(const struct command *command)
{
    static struct os_install install;
    int code = load(command, &install);
    if (code == EXIT_OK)
        code = check_is_plain(&install);
    if (code != EXIT_OK)
        return code;
    if (option_given(command, OPTION_DRY_RUN)) {
        for (unsigned left = INSTALL_STEP_COUNT; left > 0; left--)
            if ((install.recorded & STEP_BIT(left - 1)) != 0)
                print_step(&install, left - 1, true);
        return EXIT_OK;
    }
    os_catch_interrupts();
    install.is_complete = false;
    code = record_store(&install);
    return code == EXIT_OK ? undo(&install, install.recorded, true) : code;
}
