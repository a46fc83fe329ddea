/* SPDX-License-Identifier: Apache-2.0 */
/* The entry on Windows: arguments are UTF-16 there, and text that is printed is UTF-8. */
#include <windows.h>
#include <stdio.h>
#include "port/port.h"
#include "port/win/win.h"
#include "products/command/command.h"

#define ENTRY_TAG VCK_TAG('C', 'm', 'd', 'e')

int wmain(int argc, wchar_t **argv);

static int run_with(char **narrow, int argc, wchar_t **argv)
{
    for (int i = 0; i < argc; i++) {
        narrow[i] = vck_win_narrow(argv[i]);
        if (!narrow[i]) {
            fprintf(stderr, "argument %d is no Unicode text\n", i);
            return EXIT_USAGE;
        }
    }
    return command_main(argc, narrow);
}

int wmain(int argc, wchar_t **argv)
{
    UINT code_page = GetConsoleOutputCP();
    char **narrow = vck_alloc(((size_t)argc + 1) * sizeof(*narrow), ENTRY_TAG);
    int code = EXIT_FAILED;

    (void)SetConsoleOutputCP(CP_UTF8);
    if (narrow)
        code = run_with(narrow, argc, argv);
    else
        fprintf(stderr, "there is no memory for the arguments\n");
    for (int i = 0; narrow && i < argc; i++)
        vck_free(narrow[i]);
    vck_free(narrow);
    if (code_page)
        (void)SetConsoleOutputCP(code_page);
    return code;
}
