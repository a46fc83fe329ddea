/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/resource.h>
#include "products/vck/vck.h"

/* Keys pass through this process, so it leaves no core files. */
static void protect(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    /* A reader that goes away is a failed write, which the end of the program reports. */
    signal(SIGPIPE, SIG_IGN);
}

/* What did not reach the reader of stdout was not said. */
static int finish(const struct command *command, int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        return code != EXIT_OK ? code : report(command, EXIT_FAILED, "cannot write to stdout");
    return code;
}

int main(int argc, char **argv)
{
    struct command command = {0};
    protect();
    int code = options_parse(argc, argv, &command);
    if (code != EXIT_OK)
        return code;
    if (option_given(&command, OPTION_VERSION))
        printf("vck %s\n", VCK_VERSION);
    else if (command.verb == NULL && option_given(&command, OPTION_HELP))
        options_print_overview();
    else if (command.verb == NULL)
        return report_usage(&command, "a verb is missing; vck --help lists them");
    else if (option_given(&command, OPTION_HELP))
        options_print_help(command.verb);
    else
        code = command.verb->run(&command);
    return finish(&command, code);
}
