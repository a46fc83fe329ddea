/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sanitizer: nbdkit is built without sanitizers; a plugin that is built with them needs their
 * runtime in the process before anything else. Only in builds with sanitizers.
 */
#ifndef VCKD_SANITIZER_H
#define VCKD_SANITIZER_H

#define VCKD_SANITIZERS_BYTES 2048

/* Prepares the environment of the program that is started next. */
void vckd_sanitizer_prepare(void);

#endif
