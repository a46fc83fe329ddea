/* SPDX-License-Identifier: Apache-2.0 */
#include "prot.h"

#if defined(_WIN32)
int command_main(int argc, char **argv)
#else
int main(int argc, char **argv)
#endif
{
    watch_signals();
    return command_run(&prot_grammar, VCK_VERSION, argc, argv);
}
