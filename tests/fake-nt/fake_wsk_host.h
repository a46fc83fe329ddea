/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_wsk_host: gives the POSIX port's sockets other names, so that a program can have them beside
 * those of the NT port. Included before anything else.
 */
#ifndef VCK_FAKE_WSK_HOST_H
#define VCK_FAKE_WSK_HOST_H

#define vck_sockets_open           host_sockets_open
#define vck_sockets_close          host_sockets_close
#define vck_sockets_is_driven      host_sockets_is_driven
#define vck_sockets_wait           host_sockets_wait
#define vck_sockets_poll           host_sockets_poll
#define vck_sockets_wake           host_sockets_wake
#define vck_sockets_socket         host_sockets_socket
#define vck_sockets_adopt          host_sockets_adopt
#define vck_sockets_discard        host_sockets_discard
#define vck_sockets_submit         host_sockets_submit
#define vck_sockets_cancel         host_sockets_cancel
#define vck_sockets_resolve        host_sockets_resolve
#define vck_sockets_resolve_cancel host_sockets_resolve_cancel

#endif
