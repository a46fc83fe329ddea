/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: the program that the loader starts in tests. It looks at the volume it came from as
 * firmware shows it, uses it by every way there is, says on the debug port what it found, and ends
 * the machine. With R in its options it returns, with S it writes other data, with X it ends boot
 * services as an operating system does, and waits.
 *
 *     \big.bin   is read, both ways that files are read
 *     \new.bin   is written
 *     last block is overwritten
 */
#include "port/uefi/uefi.h"
#include "vck/bytes.h"
#include "vck/locator.h"
#include "vck/sha256.h"

#define TAG         VCK_TAG('s', 't', 'g', 'e')
#define PIECE_BYTES (1024u * 1024u)
#define NEW_BYTES   300001u
#define EXIT_PORT   0xf4

static uint8_t seed; /* of the data to write */

efi_status EFIAPI efi_main(efi_handle image, struct efi_system_table *system);

static void say_hex(const char *name, const uint8_t *bytes, size_t size_bytes)
{
    char text[401];

    for (size_t at = 0; at < size_bytes || at == 0; at += 200) {
        size_t piece = VCK_MIN(size_bytes - at, 200u);

        text[0] = 0;
        for (size_t i = 0; i < piece; i++) {
            text[2 * i] = "0123456789abcdef"[bytes[at + i] >> 4];
            text[2 * i + 1] = "0123456789abcdef"[bytes[at + i] & 15];
            text[2 * i + 2] = 0;
        }
        vck_uefi_say("%s=%s", name, text);
    }
}

static void say_digest(const char *name, struct vck_sha256 *sha)
{
    uint8_t digest[VCK_SHA256_BYTES];

    vck_sha256_final(sha, digest);
    say_hex(name, digest, sizeof(digest));
}

/* ---- files ---- */

static struct efi_file *open(struct efi_file *root, const efi_char *name, uint64_t mode)
{
    struct efi_file *file = NULL;
    efi_status status = root->Open(root, &file, name, mode, 0);

    if (status != EFI_SUCCESS)
        vck_uefi_say("open_failed=%llx", (unsigned long long)status);
    return file;
}

static void read_file(struct efi_file *root, uint8_t *buffer)
{
    struct efi_file *file = open(root, u"\\big.bin", EFI_FILE_READ);
    struct vck_sha256 sha;
    uint64_t size_bytes = 1;

    vck_sha256_init(&sha);
    while (file != NULL && size_bytes > 0) {
        size_bytes = PIECE_BYTES;
        if (file->Read(file, &size_bytes, buffer) != EFI_SUCCESS)
            break;
        vck_sha256_update(&sha, buffer, size_bytes);
    }
    say_digest("read", &sha);
    if (file != NULL)
        (void)file->Close(file);
}

/* By events: the way that leads to BlockIo2. */
static void read_file_ex(struct efi_file *root, uint8_t *buffer)
{
    struct efi_file *file = open(root, u"\\big.bin", EFI_FILE_READ);
    struct efi_file_token token = {.Buffer = buffer, .BufferSize = 1};
    struct vck_sha256 sha;
    uint64_t unused;

    if (file == NULL || file->Revision < EFI_FILE_REVISION2) {
        vck_uefi_say("read_ex=none");
        return;
    }
    vck_sha256_init(&sha);
    (void)vck_uefi_boot->CreateEvent(0, TPL_CALLBACK, NULL, NULL, &token.Event);
    while (token.BufferSize > 0) {
        token.BufferSize = PIECE_BYTES;
        if (file->ReadEx(file, &token) != EFI_SUCCESS ||
            vck_uefi_boot->WaitForEvent(1, &token.Event, &unused) != EFI_SUCCESS ||
            token.Status != EFI_SUCCESS)
            break;
        vck_sha256_update(&sha, buffer, token.BufferSize);
    }
    say_digest("read_ex", &sha);
    (void)vck_uefi_boot->CloseEvent(token.Event);
    (void)file->Close(file);
}

static void write_file(struct efi_file *root, uint8_t *buffer)
{
    struct efi_file *file =
        open(root, u"\\new.bin", EFI_FILE_READ | EFI_FILE_WRITE | EFI_FILE_CREATE);
    uint64_t size_bytes = NEW_BYTES;
    efi_status status;

    if (file == NULL)
        return;
    for (size_t i = 0; i < NEW_BYTES; i++)
        buffer[i] = (uint8_t)(i * 7 + i / 251 + seed);
    status = file->Write(file, &size_bytes, buffer);
    if (status == EFI_SUCCESS)
        status = file->Flush(file);
    (void)file->Close(file);
    vck_uefi_say("write=%llx", (unsigned long long)status);
}

/* ---- blocks ---- */

/* Everything through BlockIo2 is what BlockIo reads, with and without an event. */
static void compare_block_io2(efi_handle volume, struct efi_block_io *io, uint8_t *buffer)
{
    struct efi_block_io2 *io2;
    struct efi_block_io2_token token = {0};
    uint8_t *other = buffer + PIECE_BYTES / 2;
    uint64_t size_bytes = 64u * io->Media->BlockSize, unused;

    if (vck_uefi_boot->HandleProtocol(volume, &efi_block_io2_guid, (void **)&io2) != EFI_SUCCESS) {
        vck_uefi_say("block_io2=none");
        return;
    }
    (void)vck_uefi_boot->CreateEvent(0, TPL_CALLBACK, NULL, NULL, &token.Event);
    bool ok =
        io->ReadBlocks(io, io->Media->MediaId, 1, size_bytes, buffer) == EFI_SUCCESS &&
        io2->ReadBlocksEx(io2, io2->Media->MediaId, 1, NULL, size_bytes, other) == EFI_SUCCESS &&
        memcmp(buffer, other, size_bytes) == 0;
    memset(other, 0, size_bytes);
    ok = ok &&
         io2->ReadBlocksEx(io2, io2->Media->MediaId, 1, &token, size_bytes, other) == EFI_SUCCESS &&
         vck_uefi_boot->WaitForEvent(1, &token.Event, &unused) == EFI_SUCCESS &&
         token.TransactionStatus == EFI_SUCCESS && memcmp(buffer, other, size_bytes) == 0 &&
         io2->Media->LastBlock == io->Media->LastBlock;
    (void)vck_uefi_boot->CloseEvent(token.Event);
    vck_uefi_say("block_io2=%s", ok ? "equal" : "different");
}

/* An odd buffer: nobody may rely on an alignment that was not asked for. */
static void use_last_block(struct efi_block_io *io, uint8_t *buffer)
{
    uint32_t id = io->Media->MediaId, size_bytes = io->Media->BlockSize;
    uint8_t *odd = buffer + (io->Media->IoAlign <= 1 ? 1 : 0);
    uint8_t *other = buffer + PIECE_BYTES / 2;
    efi_status status;

    for (uint32_t i = 0; i < size_bytes; i++)
        odd[i] = (uint8_t)(i * 3 + 1 + seed);
    status = io->WriteBlocks(io, id, io->Media->LastBlock, size_bytes, odd);
    bool same = true;
    for (uint32_t i = 0; i < size_bytes; i++)
        same &= odd[i] == (uint8_t)(i * 3 + 1 + seed);
    vck_uefi_say("last_block=%llx buffer=%s", (unsigned long long)status,
                 same ? "same" : "changed");
    status = io->ReadBlocks(io, id, io->Media->LastBlock, size_bytes, other);
    vck_uefi_say("last_block_back=%llx %s", (unsigned long long)status,
                 memcmp(odd, other, size_bytes) == 0 ? "equal" : "different");
    status = io->ReadBlocks(io, id, io->Media->LastBlock + 1, size_bytes, other);
    vck_uefi_say("beyond_read=%llx", (unsigned long long)status);
    status = io->WriteBlocks(io, id, io->Media->LastBlock + 1, size_bytes, odd);
    vck_uefi_say("beyond_write=%llx", (unsigned long long)status);
    status = io->ReadBlocks(io, id, 0, size_bytes - 1, other);
    vck_uefi_say("part_read=%llx", (unsigned long long)status);
    vck_uefi_say("flush=%llx", (unsigned long long)io->FlushBlocks(io));
}

static void use_blocks(efi_handle volume, uint8_t *buffer)
{
    struct efi_block_io *io;

    if (vck_uefi_boot->HandleProtocol(volume, &efi_block_io_guid, (void **)&io) != EFI_SUCCESS)
        return;
    vck_uefi_say("block_bytes=%u blocks=%llu", io->Media->BlockSize,
                 (unsigned long long)io->Media->LastBlock + 1);
    compare_block_io2(volume, io, buffer);
    use_last_block(io, buffer);
}

/* ---- the handover ---- */

static void say_variable(void)
{
    uint8_t value[VCK_LOCATOR_VALUE_BYTES_MAX];
    uint64_t size_bytes = sizeof(value);
    uint32_t attributes = 0;
    struct vck_locator locator;

    if (vck_uefi_system->RuntimeServices->GetVariable(u"VckHandover", &vck_locator_vendor_guid,
                                                      &attributes, &size_bytes,
                                                      value) != EFI_SUCCESS ||
        vck_locator_decode((struct vck_bytes){value, (size_t)size_bytes}, &locator) != VCK_OK) {
        vck_uefi_say("variable=none");
        return;
    }
    vck_uefi_say("variable=%u address=%llx", attributes, (unsigned long long)locator.address);
    say_hex("payload", (const uint8_t *)(uintptr_t)locator.address, (size_t)locator.length_bytes);
}

/* ACPI: the RSDP names the XSDT at 24, which has addresses of tables from 36 on. */
static const uint8_t *find_table(const uint8_t *rsdp)
{
    const uint8_t *xsdt = (const uint8_t *)(uintptr_t)vck_load_le64(rsdp + 24);
    uint32_t size_bytes = vck_load_le32(xsdt + 4);

    for (uint32_t at = 36; at + 8 <= size_bytes; at += 8) {
        const uint8_t *table = (const uint8_t *)(uintptr_t)vck_load_le64(xsdt + at);

        if (memcmp(table, VCK_LOCATOR_TABLE_SIGNATURE, 4) == 0)
            return table;
    }
    return NULL;
}

static void say_table(void)
{
    const uint8_t *table = NULL;
    struct vck_locator locator;

    for (uint64_t i = 0; i < vck_uefi_system->NumberOfTableEntries; i++)
        if (vck_guid_equal(&vck_uefi_system->ConfigurationTable[i].VendorGuid, &efi_acpi20_guid))
            table = find_table(vck_uefi_system->ConfigurationTable[i].VendorTable);
    if (table == NULL || vck_locator_table_parse((struct vck_bytes){table, VCK_LOCATOR_TABLE_BYTES},
                                                 &locator) != VCK_OK)
        vck_uefi_say("table=none");
    else
        vck_uefi_say("table address=%llx", (unsigned long long)locator.address);
}

static void say_initrd(uint8_t *buffer)
{
    efi_handle *handles = NULL;
    uint64_t count = 0, size_bytes = 0;
    struct efi_load_file2 *load = NULL;

    if (vck_uefi_boot->LocateHandleBuffer(EFI_BY_PROTOCOL, &efi_load_file2_guid, NULL, &count,
                                          &handles) != EFI_SUCCESS)
        count = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct efi_device_path *path;

        if (vck_uefi_boot->HandleProtocol(handles[i], &efi_device_path_guid, (void **)&path) ==
                EFI_SUCCESS &&
            path->Type == EFI_PATH_MEDIA && path->SubType == EFI_PATH_VENDOR)
            (void)vck_uefi_boot->HandleProtocol(handles[i], &efi_load_file2_guid, (void **)&load);
    }
    if (load == NULL || load->LoadFile(load, NULL, 0, &size_bytes, NULL) != EFI_BUFFER_TOO_SMALL ||
        size_bytes > PIECE_BYTES ||
        load->LoadFile(load, NULL, 0, &size_bytes, buffer) != EFI_SUCCESS)
        vck_uefi_say("initrd=none");
    else
        say_hex("initrd", buffer, (size_t)size_bytes);
}

/* TPM 2.0 Library, "Commands": TPM2_PCR_Read of PCR 12 in the bank of SHA-256. */
static void say_pcr(void)
{
    static const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e,
                                      0,    0,    0, 1, 0, 11, 3, 0, 0x10, 0};
    uint8_t answer[256] = {0};
    struct efi_tcg2 *tcg2;

    if (vck_uefi_boot->LocateProtocol(&efi_tcg2_guid, NULL, (void **)&tcg2) != EFI_SUCCESS ||
        tcg2->SubmitCommand(tcg2, sizeof(command), command, sizeof(answer), answer) != EFI_SUCCESS)
        vck_uefi_say("pcr=none");
    else
        say_hex("pcr", answer + 30, VCK_SHA256_BYTES);
}

/* ---- the whole ---- */

static void say_place(efi_handle volume)
{
    struct efi_device_path *path;
    uint8_t last = 0;

    if (vck_uefi_boot->HandleProtocol(volume, &efi_device_path_guid, (void **)&path) != EFI_SUCCESS)
        return;
    while (path->Type != EFI_PATH_END) {
        last = path->SubType;
        path = (struct efi_device_path *)(void *)((uint8_t *)path + vck_load_le16(path->Length));
    }
    vck_uefi_say("place=%s", last == EFI_PATH_VENDOR ? "overlay" : "partition");
}

static void use_files(efi_handle volume, uint8_t *buffer)
{
    struct efi_simple_file_system *system;
    struct efi_file *root;

    if (vck_uefi_boot->HandleProtocol(volume, &efi_simple_file_system_guid, (void **)&system) !=
            EFI_SUCCESS ||
        system->OpenVolume(system, &root) != EFI_SUCCESS)
        return;
    read_file(root, buffer);
    read_file_ex(root, buffer);
    write_file(root, buffer);
    (void)root->Close(root);
}

static bool has_option(const struct efi_loaded_image *image, efi_char letter)
{
    const efi_char *options = image->LoadOptions;

    for (uint32_t i = 0; i < image->LoadOptionsSize / sizeof(efi_char); i++)
        if (options[i] == letter)
            return true;
    return false;
}

/* Nothing of the firmware is called from the moment on that this succeeds. */
static void exit_boot_services(uint8_t *buffer)
{
    uint64_t size_bytes = PIECE_BYTES, key = 0, descriptor_bytes;
    uint32_t version;

    if (vck_uefi_boot->GetMemoryMap(&size_bytes, buffer, &key, &descriptor_bytes, &version) !=
            EFI_SUCCESS ||
        vck_uefi_boot->ExitBootServices(vck_uefi_image, key) != EFI_SUCCESS) {
        vck_uefi_say("boot services cannot be ended");
        return;
    }
    vck_port_log(VCK_LOG_DEBUG, "stage=alone");
    for (;;)
        __asm__ volatile("pause");
}

efi_status EFIAPI efi_main(efi_handle image, struct efi_system_table *system)
{
    struct efi_loaded_image *loaded;
    uint8_t *buffer;

    vck_uefi_start(image, system);
    buffer = vck_alloc_pages(PIECE_BYTES, TAG);
    if (buffer == NULL || vck_uefi_boot->HandleProtocol(image, &efi_loaded_image_guid,
                                                        (void **)&loaded) != EFI_SUCCESS)
        return EFI_OUT_OF_RESOURCES;
    seed = has_option(loaded, u'S') ? 100 : 0;
    say_place(loaded->DeviceHandle);
    say_variable();
    say_table();
    say_initrd(buffer);
    say_pcr();
    use_files(loaded->DeviceHandle, buffer);
    use_blocks(loaded->DeviceHandle, buffer);
    vck_uefi_say("stage=done");
    if (has_option(loaded, u'X'))
        exit_boot_services(buffer);
    vck_free_pages(buffer, PIECE_BYTES);
    vck_uefi_end();
    if (has_option(loaded, u'R'))
        return EFI_ABORTED;
    __asm__ volatile("outl %0, %w1" : : "a"(0x10), "Nd"(EXIT_PORT));
    return EFI_SUCCESS;
}
