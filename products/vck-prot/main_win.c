/* SPDX-License-Identifier: Apache-2.0 */
/* The entry on Windows: arguments are UTF-16 there, and text that is printed is UTF-8. */
#include <windows.h>
#include <stdio.h>
#include "port/port.h"
#include "port/win/win.h"
#include "prot.h"

#define MAIN_TAG VCK_TAG('P', 'w', 'i', 'n')

int main(int argc, char **argv);
int wmain(int argc, wchar_t **argv);

static int run_with(char **narrow, int argc, wchar_t **argv)
{
    for (int i = 0; i < argc; i++) {
        narrow[i] = vck_win_narrow(argv[i]);
        if (!narrow[i]) {
            fprintf(stderr, "vck-prot: argument %d is no Unicode text\n", i);
            return EXIT_USAGE;
        }
    }
    return main(argc, narrow);
}

int wmain(int argc, wchar_t **argv)
{
    UINT code_page = GetConsoleOutputCP();
    char **narrow = vck_alloc(((size_t)argc + 1) * sizeof(*narrow), MAIN_TAG);
    int code = EXIT_FAILED;

    (void)SetConsoleOutputCP(CP_UTF8);
    if (narrow)
        code = run_with(narrow, argc, argv);
    for (int i = 0; narrow && i < argc; i++)
        vck_free(narrow[i]);
    vck_free(narrow);
    if (code_page)
        (void)SetConsoleOutputCP(code_page);
    return code;
}
