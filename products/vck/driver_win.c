/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/driver.h"
#include <windows.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/client.h"
#include "products/vck/json.h"
#include "products/vck/os.h"

#define DRIVER_TAG      VCK_TAG('C', 'd', 'r', 'v')
#define FILE_PATH_UNITS 1024u

static int report_error(const struct command *command, const char *what, uint32_t error)
{
    vck_status status = os_error_status((int)error);
    return report(command, exit_code_of(status), "cannot %s: %s%s", what, os_error_text((int)error),
                  status == VCK_PERMISSION_DENIED ? " (only administrators may)" : "");
}

/* ---- the file ---- */

static bool driver_file(wchar_t ret_path[FILE_PATH_UNITS])
{
    static const wchar_t name[] = L"\\System32\\drivers\\vck.sys";
    UINT length = GetSystemWindowsDirectoryW(ret_path, FILE_PATH_UNITS);
    if (length == 0 || length + sizeof(name) / sizeof(name[0]) > FILE_PATH_UNITS)
        return false;
    memcpy(ret_path + length, name, sizeof(name));
    return true;
}

/* The driver's file comes with the command's. */
static bool shipped_file(wchar_t ret_path[FILE_PATH_UNITS])
{
    static const wchar_t name[] = L"vck.sys";
    DWORD length = GetModuleFileNameW(NULL, ret_path, FILE_PATH_UNITS);
    if (length == 0 || length + sizeof(name) / sizeof(name[0]) > FILE_PATH_UNITS)
        return false;
    memcpy(wcsrchr(ret_path, L'\\') + 1, name, sizeof(name));
    return true;
}

static int copy_file(const struct command *command)
{
    wchar_t from[FILE_PATH_UNITS];
    wchar_t to[FILE_PATH_UNITS];
    if (!driver_file(to) || !shipped_file(from))
        return report(command, EXIT_FAILED, "the paths of the driver's file are too long");
    if (lstrcmpiW(from, to) == 0 || CopyFileW(from, to, FALSE))
        return EXIT_OK;
    uint32_t error = GetLastError();
    if (error == ERROR_FILE_NOT_FOUND)
        return report(command, EXIT_NOT_FOUND, "vck.sys is not beside vck.exe");
    return report_error(command, "copy vck.sys to the system's drivers", error);
}

/* One that is loaded cannot go before the next start of the system. */
static void delete_file(void)
{
    wchar_t path[FILE_PATH_UNITS];
    if (driver_file(path) && !DeleteFileW(path))
        (void)MoveFileExW(path, NULL, MOVEFILE_DELAY_UNTIL_REBOOT);
}

/* ---- install and remove ---- */

static int install(const struct command *command)
{
    int code = copy_file(command);
    if (code != EXIT_OK)
        return code;
    uint32_t error = driver_service_create();
    if (error != ERROR_SUCCESS)
        return report_error(command, "create the driver's service", error);
    error = driver_class_register();
    if (error != ERROR_SUCCESS)
        return report_error(command, "register the driver with the volumes", error);
    puts("the driver is installed; it is below every volume from the next start of Windows on");
    return EXIT_OK;
}

static uint32_t count_attached(const struct command *command)
{
    struct client client;
    struct vck_msg_volume_list list = {.capacity = VCK_MSG_COUNT_MAX};
    list.volumes = vck_alloc(list.capacity * sizeof(*list.volumes), DRIVER_TAG);
    uint32_t count = 0;
    if (list.volumes != NULL && client_open(&client, command) == EXIT_OK) {
        if (client_call(&client, VCK_CODE_LIST_VOLUMES, NULL, &list) == EXIT_OK)
            count = list.count;
        client_close(&client);
    }
    vck_free(list.volumes);
    return count;
}

/* A volume with ciphertext is unreadable without the driver. */
static int check_unused(const struct command *command)
{
    struct driver_service service = {0};
    uint32_t error = driver_service_query(&service);
    if (error != ERROR_SUCCESS)
        return report_error(command, "ask for the driver's service", error);
    if (option_given(command, OPTION_FORCE) || !service.is_running)
        return EXIT_OK;
    uint32_t count = count_attached(command);
    if (count == 0)
        return EXIT_OK;
    return report(command, EXIT_BUSY,
                  "%u volumes are attached; detach them first, or --force leaves them without the "
                  "driver",
                  count);
}

static int check_no_ciphertext(const struct command *command)
{
    char *path = option_given(command, OPTION_FORCE) ? NULL : driver_find_volume();
    if (path == NULL)
        return EXIT_OK;
    int code = report(command, EXIT_REFUSED,
                      "%s is a volume of vck and may hold ciphertext, which nothing reads without "
                      "the driver; --force removes it all the same",
                      path);
    vck_free(path);
    return code;
}

static int uninstall(const struct command *command)
{
    int code = check_unused(command);
    if (code == EXIT_OK)
        code = check_no_ciphertext(command);
    if (code != EXIT_OK)
        return code;
    uint32_t error = driver_class_unregister();
    if (error != ERROR_SUCCESS)
        return report_error(command, "take the driver from the volumes", error);
    bool is_stopped = driver_service_stop() == ERROR_SUCCESS;
    error = driver_service_delete();
    if (error == ERROR_SERVICE_DOES_NOT_EXIST)
        return report(command, EXIT_NOT_FOUND, "the driver is not installed");
    if (error != ERROR_SUCCESS && error != ERROR_SERVICE_MARKED_FOR_DELETE)
        return report_error(command, "delete the driver's service", error);
    delete_file();
    puts(is_stopped ? "the driver is removed"
                    : "the driver is removed; if it is loaded, until the next start of Windows");
    return EXIT_OK;
}

/* ---- start and stop ---- */

static int start(const struct command *command)
{
    uint32_t error = driver_service_start();
    if (error == ERROR_SERVICE_DOES_NOT_EXIST)
        return report(command, EXIT_NOT_FOUND, "the driver is not installed");
    if (error == ERROR_SERVICE_ALREADY_RUNNING)
        return report(command, EXIT_OK, "the driver is running already");
    if (error != ERROR_SUCCESS)
        return report_error(command, "start the driver", error);
    puts("the driver is running");
    return EXIT_OK;
}

static int stop(const struct command *command)
{
    int code = check_unused(command);
    if (code != EXIT_OK)
        return code;
    uint32_t error = driver_service_stop();
    if (error == ERROR_SERVICE_DOES_NOT_EXIST)
        return report(command, EXIT_NOT_FOUND, "the driver is not installed");
    if (error == ERROR_SERVICE_NOT_ACTIVE)
        return report(command, EXIT_OK, "the driver is not running");
    if (error == ERROR_INVALID_SERVICE_CONTROL || error == ERROR_SERVICE_CANNOT_ACCEPT_CTRL)
        return report(command, EXIT_BUSY,
                      "Windows keeps the driver loaded: it is below volumes that are in use");
    if (error != ERROR_SUCCESS)
        return report_error(command, "stop the driver", error);
    puts("the driver is stopped");
    return EXIT_OK;
}

/* ---- status ---- */

struct driver_status {
    struct driver_service service;
    bool has_file;
    bool is_lower;
    enum filter_order order;
};

static const char *order_text(enum filter_order order)
{
    static const char *const texts[] = {
        [FILTER_NOT_REGISTERED] = "not registered",
        [FILTER_BELOW] = "below volsnap",
        [FILTER_ABOVE] = "above volsnap",
        [FILTER_REPEATED] = "registered twice",
    };
    return texts[order];
}

static void print_status_json(const struct driver_status *status)
{
    struct json json = {0};
    json_object_begin(&json, NULL);
    json_bool(&json, "installed", status->service.is_installed);
    json_bool(&json, "file", status->has_file);
    json_bool(&json, "boot_start", status->service.is_boot_start);
    json_bool(&json, "running", status->service.is_running);
    json_string(&json, "filter", order_text(status->order));
    json_object_end(&json);
}

static void print_status_text(const struct driver_status *status)
{
    const struct driver_service *service = &status->service;
    printf("service: %s%s, %s\n", service->is_installed ? "installed" : "not installed",
           service->is_installed && !service->is_boot_start ? ", but not at boot" : "",
           service->is_running ? "running" : "not running");
    printf("file:    %s\n", status->has_file ? "in its place" : "missing");
    printf("filter:  %s%s\n", order_text(status->order),
           status->order == FILTER_BELOW && !status->is_lower ? ", among the upper filters" : "");
}

/* What is worst about it. */
static int judge(const struct command *command, const struct driver_status *status)
{
    const struct driver_service *service = &status->service;
    if (!service->is_installed && status->order == FILTER_NOT_REGISTERED)
        return report(command, EXIT_NOT_FOUND, "the driver is not installed");
    if (!service->is_installed)
        return report(command, EXIT_PROBLEMS,
                      "volumes ask for a driver that is not installed and cannot start without it; "
                      "vck driver remove takes it from them");
    if (status->order == FILTER_ABOVE)
        return report(command, EXIT_PROBLEMS,
                      "shadow copies would hold ciphertext; vck driver install puts the driver in "
                      "its place");
    if (status->order != FILTER_BELOW || !service->is_boot_start || !status->has_file)
        return report(command, EXIT_PROBLEMS,
                      "the driver is not installed completely; vck driver install does it again");
    return service->is_running
               ? EXIT_OK
               : report(command, EXIT_NO_HOST, "the driver is installed and not running");
}

static int show_status(const struct command *command)
{
    wchar_t path[FILE_PATH_UNITS];
    struct driver_status status = {0};
    uint32_t error = driver_service_query(&status.service);
    if (error != ERROR_SUCCESS)
        return report_error(command, "ask for the driver's service", error);
    error = driver_class_query(&status.order, &status.is_lower);
    if (error != ERROR_SUCCESS)
        return report_error(command, "read the filters of volumes", error);
    status.has_file = driver_file(path) && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
    if (option_given(command, OPTION_JSON))
        print_status_json(&status);
    else
        print_status_text(&status);
    return judge(command, &status);
}

int run_driver(const struct command *command)
{
    static const struct {
        const char *name;
        int (*run)(const struct command *command);
    } actions[] = {
        {"install", install},  {"start", start},        {"stop", stop},
        {"remove", uninstall}, {"status", show_status},
    };
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(command->operands[0], actions[i].name) == 0)
            return actions[i].run(command);
    return report_usage(command, "there is no action %s; install, start, stop, remove or status",
                        command->operands[0]);
}
