/* SPDX-License-Identifier: Apache-2.0 */
#include <windows.h>
#include "products/vck/driver.h"
#include "vck/bytes.h"

#define SERVICE_NAME L"vck"
#define DISPLAY_NAME L"vck volume encryption"
#define IMAGE_PATH   L"\\SystemRoot\\System32\\drivers\\vck.sys"
#define LOAD_GROUP   L"PnP Filter"

#define WAIT_STEP_MS 100
#define WAIT_STEPS   100

/* What one call needs of the service control manager. */
struct access {
    SC_HANDLE manager;
    SC_HANDLE service; /* NULL: not opened */
};

static void close_access(struct access *access)
{
    if (access->service != NULL)
        CloseServiceHandle(access->service);
    if (access->manager != NULL)
        CloseServiceHandle(access->manager);
}

/* End it with close_access in every case. */
static uint32_t open_service(struct access *access, DWORD manager_rights, DWORD service_rights)
{
    *access = (struct access){0};
    access->manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | manager_rights);
    if (access->manager == NULL)
        return GetLastError();
    access->service = OpenServiceW(access->manager, SERVICE_NAME, service_rights);
    return access->service != NULL ? ERROR_SUCCESS : GetLastError();
}

static bool is_boot_start(SC_HANDLE service)
{
    _Alignas(QUERY_SERVICE_CONFIGW) unsigned char buffer[4096];
    QUERY_SERVICE_CONFIGW *config = (QUERY_SERVICE_CONFIGW *)(void *)buffer;
    DWORD size;
    return QueryServiceConfigW(service, config, sizeof(buffer), &size) &&
           config->dwStartType == SERVICE_BOOT_START;
}

uint32_t driver_service_query(struct driver_service *ret_service)
{
    struct access access;
    SERVICE_STATUS status = {0};
    struct driver_service found = {0};
    uint32_t error = open_service(&access, 0, SERVICE_QUERY_STATUS | SERVICE_QUERY_CONFIG);
    if (error == ERROR_SUCCESS) {
        found.is_installed = true;
        found.is_boot_start = is_boot_start(access.service);
        if (!QueryServiceStatus(access.service, &status))
            error = GetLastError();
        found.is_running = status.dwCurrentState == SERVICE_RUNNING;
    } else if (error == ERROR_SERVICE_DOES_NOT_EXIST) {
        error = ERROR_SUCCESS;
    }
    close_access(&access);
    if (error == ERROR_SUCCESS)
        *ret_service = found;
    return error;
}

static uint32_t configure(SC_HANDLE service)
{
    BOOL is_done = ChangeServiceConfigW(service, SERVICE_KERNEL_DRIVER, SERVICE_BOOT_START,
                                        SERVICE_ERROR_NORMAL, IMAGE_PATH, LOAD_GROUP, NULL, NULL,
                                        NULL, NULL, DISPLAY_NAME);
    return is_done ? ERROR_SUCCESS : GetLastError();
}

uint32_t driver_service_create(void)
{
    struct access access;
    uint32_t error = open_service(&access, SC_MANAGER_CREATE_SERVICE, SERVICE_CHANGE_CONFIG);
    if (error == ERROR_SUCCESS) {
        error = configure(access.service);
    } else if (error == ERROR_SERVICE_DOES_NOT_EXIST) {
        access.service =
            CreateServiceW(access.manager, SERVICE_NAME, DISPLAY_NAME, SERVICE_CHANGE_CONFIG,
                           SERVICE_KERNEL_DRIVER, SERVICE_BOOT_START, SERVICE_ERROR_NORMAL,
                           IMAGE_PATH, LOAD_GROUP, NULL, NULL, NULL, NULL);
        error = access.service != NULL ? ERROR_SUCCESS : GetLastError();
    }
    close_access(&access);
    return error;
}

uint32_t driver_service_start(void)
{
    struct access access;
    uint32_t error = open_service(&access, 0, SERVICE_START);
    if (error == ERROR_SUCCESS && !StartServiceW(access.service, 0, NULL))
        error = GetLastError();
    close_access(&access);
    return error;
}

static uint32_t wait_stopped(SC_HANDLE service, SERVICE_STATUS *status)
{
    for (unsigned i = 0; i < WAIT_STEPS && status->dwCurrentState != SERVICE_STOPPED; i++) {
        Sleep(WAIT_STEP_MS);
        if (!QueryServiceStatus(service, status))
            return GetLastError();
    }
    return status->dwCurrentState == SERVICE_STOPPED ? ERROR_SUCCESS
                                                     : ERROR_SERVICE_REQUEST_TIMEOUT;
}

uint32_t driver_service_stop(void)
{
    struct access access;
    SERVICE_STATUS status = {0};
    uint32_t error = open_service(&access, 0, SERVICE_STOP | SERVICE_QUERY_STATUS);
    if (error == ERROR_SUCCESS && !ControlService(access.service, SERVICE_CONTROL_STOP, &status))
        error = GetLastError();
    if (error == ERROR_SUCCESS)
        error = wait_stopped(access.service, &status);
    close_access(&access);
    return error;
}

uint32_t driver_service_delete(void)
{
    struct access access;
    uint32_t error = open_service(&access, 0, DELETE);
    if (error == ERROR_SUCCESS && !DeleteService(access.service))
        error = GetLastError();
    close_access(&access);
    return error;
}
