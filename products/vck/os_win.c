/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/os.h"
#include <windows.h>
#include <aclapi.h>
#include <sddl.h>
#include "port/win/win.h"
#include "products/vck/driver.h"

#define OS_TAG VCK_TAG('C', 'o', 's', 'w')

static const struct verb driver_verb = {
    "driver",
    "ACTION",
    1,
    1,
    "install, start, stop or remove the driver, or tell its status",
    OPTION_BIT(FORCE) | OPTION_BIT(JSON),
    run_driver,
};

const struct os_words os_words = {
    .host = "driver",
    .more = "",
    .absent_options = OPTION_BIT(NBD) | OPTION_BIT(SOCKET) | OPTION_BIT(TPM) |
                      OPTION_BIT(PIN_FILE) | OPTION_BIT(PIN) | OPTION_BIT(PCRS) |
                      OPTION_BIT(PCR_VALUES) | OPTION_BIT(BOOT_CONFIG) | OPTIONS_OF_SERVERS,
    .option_help =
        {
            [OPTION_NEW_KEY_FILE] = "take the new passphrase or key from FILE; - is standard input",
            [OPTION_TYPE] = "passphrase, key-file or recovery (passphrase)",
            [OPTION_LOCAL] = "measure in this process, without the driver",
            [OPTION_SHRINK] = "make room by shrinking the mounted NTFS file system",
        },
    .verbs = &driver_verb,
    .verb_count = 1,
};

/* ---- the entry ---- */

/* Wild cards are the owner of \\?\ paths' business, not the C runtime's. */
int _dowildcard = 0;

/* Keys pass through this process, so it leaves no dump. */
static void protect(void)
{
    (void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
}

int command_main(int argc, char **argv)
{
    protect();
    /* In whole lines, so that no character is torn. */
    (void)setvbuf(stderr, NULL, _IOFBF, 4096);
    return command_run(vck_grammar(), VCK_VERSION, argc, argv);
}

const char *os_error_text(int error)
{
    static char text[VCK_WIN_TEXT_BYTES];
    return vck_win_error_text((uint32_t)error, text);
}

vck_status os_error_status(int error)
{
    return vck_win_status_from_error((uint32_t)error);
}

static int last_error(void)
{
    return (int)GetLastError();
}

/* ---- the terminal ---- */

static HANDLE console;
static DWORD console_mode_before;

static void restore_mode(void)
{
    (void)SetConsoleMode(console, console_mode_before);
}

/* Consoles before Windows 10 1511 know no sequences; lines are written there. */
bool os_terminal_begin(void)
{
    HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD wanted = ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING;
    DWORD mode;
    if (!GetConsoleMode(output, &mode))
        return false;
    if ((mode & wanted) == wanted)
        return true;
    if (!SetConsoleMode(output, mode | wanted))
        return false;
    console = output;
    console_mode_before = mode;
    (void)atexit(restore_mode);
    return true;
}

unsigned os_terminal_columns(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info))
        return 0;
    /* A line that ends at the edge would be followed by an empty one. */
    int columns = info.srWindow.Right - info.srWindow.Left;
    return columns > 0 ? (unsigned)columns : 0;
}

bool os_can_ask(void)
{
    DWORD mode;
    return GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode) != 0;
}

#define ASK_CHARACTERS 1024

/* A console gives UTF-16; secrets are UTF-8 everywhere. */
static int take_line(wchar_t *wide, DWORD length, char *line, size_t capacity, size_t *ret_size)
{
    while (length > 0 && (wide[length - 1] == L'\n' || wide[length - 1] == L'\r'))
        length--;
    int size = 0;
    if (length > 0) {
        size = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, wide, (int)length, line,
                                   (int)capacity - 1, NULL, NULL);
        if (size == 0)
            return last_error();
    }
    *ret_size = (size_t)size;
    return 0;
}

int os_ask(const char *question, bool is_secret, char *line, size_t capacity, size_t *ret_size)
{
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    DWORD before, length = 0;
    wchar_t wide[ASK_CHARACTERS];
    if (!GetConsoleMode(input, &before))
        return last_error();
    DWORD mode = before | ENABLE_LINE_INPUT | ENABLE_PROCESSED_INPUT;
    mode = is_secret ? mode & ~(DWORD)ENABLE_ECHO_INPUT : mode | ENABLE_ECHO_INPUT;
    int error = SetConsoleMode(input, mode) ? 0 : last_error();
    fputs(question, stderr);
    fflush(stderr);
    if (error == 0 && !ReadConsoleW(input, wide, ASK_CHARACTERS, &length, NULL))
        error = last_error();
    (void)SetConsoleMode(input, before);
    if (is_secret)
        fputc('\n', stderr);
    fflush(stderr);
    if (error == 0)
        error = take_line(wide, length, line, capacity, ret_size);
    vck_wipe(wide, sizeof(wide));
    return error;
}

/* ---- what it can do ---- */

unsigned os_processors(void)
{
    DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count > 0 ? count : 1;
}

uint64_t os_memory_bytes(void)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof(status)};
    return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 1;
}

uint64_t os_time_s(void)
{
    const uint64_t between = 11644473600; /* 1601 to 1970 */
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    uint64_t units = (uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
    return units / 10000000 - between;
}

const struct vck_key_stretcher *os_stretcher(void)
{
    return NULL;
}

/* ---- interrupts ---- */

static HANDLE interrupted;

static BOOL WINAPI interrupt(DWORD type)
{
    /* After the others the system ends the process, whatever is answered. */
    if (type != CTRL_C_EVENT && type != CTRL_BREAK_EVENT)
        return FALSE;
    (void)SetEvent(interrupted);
    return TRUE;
}

void os_catch_interrupts(void)
{
    interrupted = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (interrupted != NULL)
        (void)SetConsoleCtrlHandler(interrupt, TRUE);
}

bool os_was_interrupted(void)
{
    return interrupted != NULL && WaitForSingleObject(interrupted, 0) == WAIT_OBJECT_0;
}

void os_sleep_ms(uint32_t time_ms)
{
    if (interrupted != NULL)
        (void)WaitForSingleObject(interrupted, time_ms);
    else
        Sleep(time_ms);
}

/* ---- small files ---- */

/* INVALID_HANDLE_VALUE with the error set, also for a name that is no path. */
static HANDLE open_file(const char *path, DWORD access, DWORD share, SECURITY_ATTRIBUTES *security,
                        DWORD disposition, DWORD flags)
{
    wchar_t *wide = vck_win_path(path);
    if (wide == NULL) {
        SetLastError(ERROR_INVALID_NAME);
        return INVALID_HANDLE_VALUE;
    }
    HANDLE file = CreateFileW(wide, access, share, security, disposition, flags, NULL);
    DWORD error = GetLastError();
    vck_free(wide);
    SetLastError(error);
    return file;
}

int os_open(const char *path, intptr_t *ret_file)
{
    HANDLE file = path == NULL ? GetStdHandle(STD_INPUT_HANDLE)
                               : open_file(path, GENERIC_READ | READ_CONTROL, FILE_SHARE_READ, NULL,
                                           OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
    if (file == INVALID_HANDLE_VALUE)
        return last_error();
    *ret_file = (intptr_t)file;
    return file != NULL ? 0 : ERROR_INVALID_HANDLE;
}

int os_read(intptr_t file, void *buffer, size_t capacity, size_t *ret_size)
{
    size_t filled = 0;
    DWORD got = 1;
    while (filled < capacity && got > 0) {
        DWORD wanted = (DWORD)(capacity - filled);
        if (!ReadFile((HANDLE)file, (char *)buffer + filled, wanted, &got, NULL)) {
            int error = last_error();
            if (error != ERROR_BROKEN_PIPE) /* the writer is done */
                return error;
            got = 0;
        }
        filled += got;
    }
    *ret_size = filled;
    return 0;
}

void os_close(intptr_t file)
{
    if ((HANDLE)file != GetStdHandle(STD_INPUT_HANDLE))
        CloseHandle((HANDLE)file);
}

/* ---- who can read them ---- */

static const struct {
    WELL_KNOWN_SID_TYPE type;
    const char *name;
} crowds[] = {
    {WinWorldSid, "everyone"},          {WinAuthenticatedUserSid, "every user"},
    {WinBuiltinUsersSid, "every user"}, {WinInteractiveSid, "every user"},
    {WinBuiltinGuestsSid, "guests"},    {WinAnonymousSid, "everyone"},
};

static const char *crowd_of_entry(ACE_HEADER *header)
{
    ACCESS_ALLOWED_ACE *entry = (ACCESS_ALLOWED_ACE *)(void *)header;
    if (header->AceType != ACCESS_ALLOWED_ACE_TYPE || (header->AceFlags & INHERIT_ONLY_ACE) != 0)
        return NULL;
    if ((entry->Mask & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++)
        if (IsWellKnownSid((PSID)&entry->SidStart, crowds[i].type))
            return crowds[i].name;
    return NULL;
}

/* No list is no protection. */
static const char *crowd_of_list(PACL list)
{
    const char *found = list == NULL ? "everyone" : NULL;
    void *entry;
    for (DWORD i = 0; list != NULL && found == NULL && i < list->AceCount; i++)
        if (GetAce(list, i, &entry))
            found = crowd_of_entry(entry);
    return found;
}

bool os_is_exposed(intptr_t file, char ret_how[OS_EXPOSURE_BYTES])
{
    PSECURITY_DESCRIPTOR descriptor;
    PACL list = NULL;
    if (GetFileType((HANDLE)file) != FILE_TYPE_DISK)
        return false;
    if (GetSecurityInfo((HANDLE)file, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &list,
                        NULL, &descriptor) != ERROR_SUCCESS)
        return false;
    const char *crowd = crowd_of_list(list);
    LocalFree(descriptor);
    if (crowd == NULL)
        return false;
    snprintf(ret_how, OS_EXPOSURE_BYTES, "can be read by %s; only its owner is expected to", crowd);
    return true;
}

/* ---- a file of one's own ---- */

#define TOKEN_USER_BYTES (sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE)

static bool make_descriptor_for(PSID owner, PSECURITY_DESCRIPTOR *ret_descriptor)
{
    wchar_t text[256];
    wchar_t *name;
    if (!ConvertSidToStringSidW(owner, &name))
        return false;
    swprintf(text, sizeof(text) / sizeof(text[0]), L"D:P(A;;FA;;;%ls)", name);
    LocalFree(name);
    return ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1,
                                                                ret_descriptor, NULL);
}

/* For this user; nothing is inherited. */
static bool make_descriptor(PSECURITY_DESCRIPTOR *ret_descriptor)
{
    _Alignas(TOKEN_USER) unsigned char user[TOKEN_USER_BYTES];
    HANDLE token;
    DWORD size;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    bool is_made = GetTokenInformation(token, TokenUser, user, sizeof(user), &size) &&
                   make_descriptor_for(((TOKEN_USER *)(void *)user)->User.Sid, ret_descriptor);
    CloseHandle(token);
    return is_made;
}

static int write_all(HANDLE file, const void *data, size_t size)
{
    DWORD put;
    if (!WriteFile(file, data, (DWORD)size, &put, NULL))
        return last_error();
    if (put != size)
        return ERROR_DISK_FULL;
    return FlushFileBuffers(file) ? 0 : last_error();
}

int os_create_private(const char *path, const void *data, size_t size, bool *ret_is_created)
{
    SECURITY_ATTRIBUTES security = {.nLength = sizeof(security)};
    *ret_is_created = false;
    if (!make_descriptor(&security.lpSecurityDescriptor))
        return last_error();
    HANDLE file = open_file(path, GENERIC_WRITE, 0, &security, CREATE_NEW,
                            FILE_ATTRIBUTE_NORMAL | FILE_FLAG_WRITE_THROUGH);
    int error = file != INVALID_HANDLE_VALUE ? 0 : last_error();
    LocalFree(security.lpSecurityDescriptor);
    if (error != 0)
        return error;
    *ret_is_created = true;
    error = write_all(file, data, size);
    if (!CloseHandle(file) && error == 0)
        error = last_error();
    if (error != 0)
        os_remove_file(path);
    return error;
}

bool os_find_file(const char *path, uint64_t *ret_size)
{
    WIN32_FILE_ATTRIBUTE_DATA data;
    wchar_t *wide = vck_win_path(path);
    bool is_found = wide != NULL && GetFileAttributesExW(wide, GetFileExInfoStandard, &data);
    vck_free(wide);
    if (is_found)
        *ret_size = (uint64_t)data.nFileSizeHigh << 32 | data.nFileSizeLow;
    return is_found;
}

void os_remove_file(const char *path)
{
    wchar_t *wide = vck_win_path(path);
    if (wide != NULL)
        (void)DeleteFileW(wide);
    vck_free(wide);
}
