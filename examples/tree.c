/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-tree: a driver without hardware: what objects are for. The driver is the root; each device is
 * a child with a thread that serves requests; a filter adds a context of its own to a device; each
 * request holds a reference to its device. A timer, at DISPATCH, removes a device by surprise.
 * Then the driver is unloaded, whatever is still going on.
 *
 *     driver ── device 0 ── port          (the port is made while its device is initialised)
 *           ├── device 1 ── port
 *           └── device 2 ── port
 *
 *     vck-tree [--devices N] [--requests N]
 *
 * Prints each end of life and each end of memory, and at last what is left: nothing.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "vck/bytes.h"
#include "vck/list.h"
#include "vck/object.h"
#include "vck/thread.h"

#define DEVICE_TAG  VCK_TAG('E', 'd', 'e', 'v')
#define REQUEST_TAG VCK_TAG('E', 'r', 'e', 'q')
#define DEVICES_MAX 64u

/* ---- the port of a device: a child that nobody but its device knows ---- */

struct port {
    uint32_t number;
};

static void port_cleanup(void *context)
{
    printf("port %u: closed\n", ((struct port *)context)->number);
}

static void port_destroy(void *context)
{
    printf("port %u: freed\n", ((struct port *)context)->number);
}

static const struct vck_object_type port_type = {
    .name = "port",
    .context_bytes = sizeof(struct port),
    .cleanup = port_cleanup,
    .destroy = port_destroy,
};

static vck_status port_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    ((struct port *)context)->number = *(const uint32_t *)argument;
    return VCK_OK;
}

/* ---- a device ---- */

struct device {
    uint32_t number;
    struct vck_thread_handle *thread;
    struct vck_spinlock lock; /* the three below */
    struct vck_link requests;
    uint32_t served;
    bool must_end;
};

struct request {
    struct vck_link link;
    struct vck_object *device; /* referenced */
};

/* What a filter keeps with a device that is not its own. */
struct counter {
    uint32_t count;
};

static void counter_destroy(void *context)
{
    printf("counter: %u requests passed\n", ((struct counter *)context)->count);
}

static const struct vck_object_type counter_type = {
    .name = "counter",
    .context_bytes = sizeof(struct counter),
    .destroy = counter_destroy,
};

static void count_request(struct vck_object *object)
{
    void *context;
    if (vck_object_context(object, &counter_type, &context) == VCK_OK)
        ((struct counter *)context)->count++;
}

static void complete(struct request *request)
{
    struct vck_object *device = request->device;
    vck_free(request);
    vck_object_release(device, REQUEST_TAG);
}

static struct request *next_request(struct device *device, bool *ret_must_end)
{
    vck_spinlock_acquire(&device->lock);
    struct vck_link *link = vck_list_pop_front(&device->requests);
    device->served += link != NULL;
    *ret_must_end = device->must_end;
    vck_spinlock_release(&device->lock);
    return link != NULL ? VCK_CONTAINER_OF(link, struct request, link) : NULL;
}

/* The thread's own reference to the device lasts beyond its last instruction. */
static void serve(void *context) VCK_CAN_WAIT
{
    struct device *device = context;
    bool must_end = false;
    while (!must_end) {
        struct request *request;
        while ((request = next_request(device, &must_end)) != NULL) {
            count_request(request->device);
            complete(request);
        }
        if (!must_end)
            (void)vck_thread_park();
    }
}

/* Nobody reaches the device yet, not even by the port; so this needs no lock. */
static vck_status device_init(struct vck_object *object, void *context, void *argument) VCK_CAN_WAIT
{
    struct device *device = context;
    struct vck_object *port;
    vck_spinlock_init(&device->lock);
    vck_link_init(&device->requests);
    device->number = *(const uint32_t *)argument;
    vck_status status = vck_object_create(&port_type, object, port_init, argument, &port);
    if (status != VCK_OK)
        return status;
    /* Last, because it cannot be undone here: when init fails, the port goes with the object. */
    return vck_thread_spawn(object, serve, device, VCK_THREAD_NORMAL, "device", &device->thread);
}

/* Life ends: no new requests, and those that are there are served. */
static void device_cleanup(void *context) VCK_CAN_WAIT
{
    struct device *device = context;
    vck_spinlock_acquire(&device->lock);
    device->must_end = true;
    vck_spinlock_release(&device->lock);
    vck_thread_unpark(device->thread);
    vck_thread_handle_join(device->thread);
    printf("device %u: stopped\n", device->number);
}

static void device_destroy(void *context)
{
    struct device *device = context;
    VCK_ASSERT(vck_list_is_empty(&device->requests));
    printf("device %u: freed after %u requests\n", device->number, device->served);
}

static const struct vck_object_type device_type = {
    .name = "device",
    .context_bytes = sizeof(struct device),
    .cleanup = device_cleanup,
    .destroy = device_destroy,
};

/* ---- a request ---- */

static vck_status enqueue(struct device *device, struct request *request)
{
    vck_status status = VCK_DELETE_PENDING;
    vck_spinlock_acquire(&device->lock);
    if (!device->must_end) {
        vck_list_push_back(&device->requests, &request->link);
        status = VCK_OK;
    }
    vck_spinlock_release(&device->lock);
    return status;
}

/* The caller keeps the device's memory; its life may end at any time. */
static vck_status submit(struct vck_object *object)
{
    void *context;
    vck_status status = vck_object_context(object, &device_type, &context);
    if (status != VCK_OK)
        return status;
    if (vck_object_is_deleting(object))
        return VCK_DELETE_PENDING;
    struct device *device = context;
    struct request *request = vck_alloc(sizeof(*request), REQUEST_TAG);
    if (request == NULL)
        return VCK_NO_MEMORY;
    vck_object_reference(object, REQUEST_TAG);
    request->device = object;
    status = enqueue(device, request);
    if (status == VCK_OK)
        vck_thread_unpark(device->thread);
    else
        complete(request);
    return status;
}

/* ---- the driver ---- */

struct driver {
    uint32_t device_count;
    struct vck_object *devices[DEVICES_MAX]; /* each referenced until unload */
    struct vck_timer removal;
};

/* At DISPATCH: the deletion is carried out by deferred work. */
static void remove_first_device(void *context)
{
    struct driver *driver = context;
    (void)vck_object_delete(driver->devices[0]);
}

/* Its children have gone: what they might have used goes now. */
static void driver_cleanup(void *context)
{
    (void)context;
    printf("driver: stopped\n");
}

static void driver_destroy(void *context)
{
    (void)context;
    printf("driver: freed\n");
}

static const struct vck_object_type driver_type = {
    .name = "driver",
    .context_bytes = sizeof(struct driver),
    .cleanup = driver_cleanup,
    .destroy = driver_destroy,
};

static vck_status add_devices(struct vck_object *root, struct driver *driver,
                              uint32_t count) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    for (uint32_t i = 0; i < count && status == VCK_OK; i++) {
        struct vck_object *device;
        status = vck_object_create(&device_type, root, device_init, &i, &device);
        if (status != VCK_OK)
            break;
        vck_object_reference(device, DEVICE_TAG);
        driver->devices[driver->device_count++] = device;
        if (i == 0)
            status = vck_object_add_context(device, &counter_type, NULL, NULL, NULL);
    }
    return status;
}

static void submit_all(const struct driver *driver, uint32_t count)
{
    uint32_t refused = 0;
    for (uint32_t i = 0; i < count; i++)
        refused += submit(driver->devices[i % driver->device_count]) != VCK_OK;
    printf("driver: %u requests, %u refused\n", count, refused);
}

/* The driver's own references and callbacks end first: unload waits for all of them. */
static void unload(struct vck_object *root, struct driver *driver) VCK_CAN_WAIT
{
    vck_timer_fini(&driver->removal);
    for (uint32_t i = 0; i < driver->device_count; i++)
        vck_object_release(driver->devices[i], DEVICE_TAG);
    vck_status status = vck_object_unload(root, 0);
    VCK_ASSERT(status == VCK_OK);
    vck_threads_fini();
    printf("unloaded: %zu allocations left\n", vck_alloc_live_count());
}

static vck_status run(uint32_t devices, uint32_t requests) VCK_CAN_WAIT
{
    struct vck_object *root;
    void *context;
    vck_status status = vck_object_create(&driver_type, NULL, NULL, NULL, &root);
    if (status != VCK_OK)
        return status;
    status = vck_object_context(root, &driver_type, &context);
    VCK_ASSERT(status == VCK_OK);
    struct driver *driver = context;
    vck_timer_init(&driver->removal, remove_first_device, driver);
    status = add_devices(root, driver, devices);
    if (status == VCK_OK) {
        submit_all(driver, requests);
        vck_timer_set(&driver->removal, 0);
        while (!vck_object_is_deleting(driver->devices[0]))
            vck_thread_yield();
        printf("driver: device 0 was removed, a request to it: %s\n",
               vck_status_name(submit(driver->devices[0])));
    }
    unload(root, driver);
    return status;
}

/* ---- the command line ---- */

static uint32_t number(const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value == 0 || value > most) {
        fprintf(stderr, "vck-tree: a number from 1 to %u, not %s\n", most, text);
        exit(2);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv) VCK_NO_ANALYSIS
{
    static const struct option options[] = {
        {"devices", required_argument, NULL, 'd'}, {"requests", required_argument, NULL, 'r'}, {0}};
    uint32_t devices = 3;
    uint32_t requests = 300;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'd')
            devices = number(optarg, DEVICES_MAX);
        else if (option == 'r')
            requests = number(optarg, 1000000);
        else
            return 2;
    }
    vck_status status = run(devices, requests);
    if (status != VCK_OK)
        fprintf(stderr, "vck-tree: %s\n", vck_status_text(status));
    return status == VCK_OK ? 0 : 1;
}
