/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver: the verb that looks after the driver itself: its file, its service and its place among
 * the filters of volumes. Windows only.
 *
 * What is done last is what lets volumes depend on the rest: a class filter whose service is
 * missing keeps every volume from starting. So install goes file, service, filter, and remove goes
 * the other way.
 */
#ifndef VCK_PRODUCTS_VCK_DRIVER_H
#define VCK_PRODUCTS_VCK_DRIVER_H

#include "products/vck/filter_list.h"
#include "products/vck/vck.h"

#define DRIVER_SERVICE "vck"

/* install, start, stop, remove, status. */
int run_driver(const struct command *command);

/* ---- the service (driver_service_win.c); Win32 errors ---- */

struct driver_service {
    bool is_installed;
    bool is_boot_start;
    bool is_running;
};

/* A service that is not there is no error. */
uint32_t driver_service_query(struct driver_service *ret_service);
/* Creates the service, or gives the one that is there its settings again. */
uint32_t driver_service_create(void);
uint32_t driver_service_start(void);
uint32_t driver_service_stop(void);
/* Windows keeps it until it is stopped. */
uint32_t driver_service_delete(void);

/* ---- the filters of the class of volumes (driver_class_win.c); Win32 errors ---- */

/* Where the driver is among them. */
uint32_t driver_class_query(enum filter_order *ret_order, bool *ret_is_lower);
/* Adds it to the lower filters, or takes it from both lists. */
uint32_t driver_class_register(void);
uint32_t driver_class_unregister(void);

/* ---- volumes (driver_volumes_win.c) ---- */

/* A volume that is not attached and has metadata, so that it may hold ciphertext; freed with
 * vck_free, NULL when there is none. */
char *driver_find_volume(void);

#endif
