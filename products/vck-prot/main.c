/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "prot.h"

int main(int argc, char **argv)
{
    struct command command = {0};
    int code = options_parse(argc, argv, &command);

    if (code != EXIT_OK)
        return code;
    watch_signals();
    if (option_given(&command, OPTION_VERSION))
        printf("vck-prot %s\n", VCK_VERSION);
    else if (!command.verb && option_given(&command, OPTION_HELP))
        options_print_overview();
    else if (!command.verb)
        return report_usage(&command, "a verb is missing; vck-prot --help lists them");
    else if (option_given(&command, OPTION_HELP))
        options_print_help(command.verb);
    else
        code = command.verb->run(&command);
    /* What did not reach the reader of stdout was not said. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        return code != EXIT_OK ? code : report(&command, EXIT_FAILED, "cannot write to stdout");
    return code;
}
