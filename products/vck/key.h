/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key: secrets that people type or keep in files, and what they open.
 */
#ifndef VCK_PRODUCTS_VCK_KEY_H
#define VCK_PRODUCTS_VCK_KEY_H

#include "products/vck/vck.h"
#include "vck/key_slot.h"
#include "vck/key_store.h"

/* What somebody typed or a file holds. Wipe with secret_fini in every case. */
struct secret_text {
    struct vck_secret bytes; /* as they are */
    struct vck_bytes line;   /* of them, without a line end */
    uint8_t recovery[VCK_KEY_RECOVERY_BYTES];
    bool is_recovery; /* the line is a recovery key */
};

/* From a file; "-" is standard input. */
int secret_read(const struct command *command, const char *path, struct secret_text *ret_secret);
/* From the terminal. */
int secret_ask(const struct command *command, const char *question, struct secret_text *ret_secret);
/* A new passphrase, asked for twice, with an estimate of its strength. */
int secret_ask_new(const struct command *command, const char *what, size_t least_bytes,
                   struct secret_text *ret_secret);
/* Refuses a new secret that is empty or, without --force, shorter than that. */
int secret_check_new(const struct command *command, const char *what, size_t least_bytes,
                     const struct secret_text *secret);
void secret_fini(struct secret_text *secret);

/* Whether standard input is to be read more than once. */
int secret_check_sources(const struct command *command);

/* How the volume was opened. */
struct key_access {
    struct vck_secret vmk;
    bool by_slot;    /* not by --vmk-file */
    bool has_number; /* set before: only this slot is tried */
    uint32_t number;
    struct vck_key_unlocked unlocked;
    struct secret_text secret; /* that opened the slot */
};

static inline struct vck_bytes key_access_vmk(const struct key_access *access)
{
    return vck_secret_bytes(&access->vmk);
}

/* The VMK from --vmk-file, or of the slot that --key-file, the TPM or what is typed opens. fini
 * always. */
int key_access_open(const struct command *command, const char *path, struct vck_disk *disk,
                    struct key_access *ret_access) VCK_CAN_WAIT;
void key_access_fini(struct key_access *access);

/* The same for a volume that is only looked at, which others may be using. */
int key_access_look(const struct command *command, const char *path,
                    struct key_access *ret_access) VCK_CAN_WAIT;

/* The key for a verb that takes --vmk-file, --key-file and --slot, and whose volume is only looked
 * at for it. fini always. */
int key_access_find(const struct command *command, const char *path,
                    struct key_access *ret_access) VCK_CAN_WAIT;

/* Whether an option says that there is to be a key at all, for verbs that also do without. */
bool key_is_wanted(const struct command *command);

/* The words for a failure of the room, reported. */
int key_explain(const struct command *command, const char *path, vck_status status);

/* The KDF of a new slot of this type, from the options, or measured. */
int kdf_choose(const struct command *command, uint16_t type, struct vck_key_kdf *ret_kdf);

/* What a new slot is made of. */
struct new_slot {
    uint16_t type;
    struct secret_text secret;
    struct vck_key_kdf kdf;
    uint8_t payload[VCK_KEY_PAYLOAD_BYTES_MAX]; /* of types that have one */
    size_t payload_bytes;
    const struct vck_key_slot *old; /* set before: that it replaces, or NULL */
};

/* The vck_key_type of --type, or of --tang. */
int slot_type(const struct command *command, uint16_t *ret_type);
/* Reads or asks for the new secret, or makes it, and chooses the KDF. fini always. */
int new_slot_read(const struct command *command, uint16_t type,
                  struct new_slot *ret_slot) VCK_CAN_WAIT;
void new_slot_fini(struct new_slot *slot);
/* The secret a slot of its type takes, and the payload. */
struct vck_bytes new_slot_secret(const struct new_slot *slot);
struct vck_bytes new_slot_payload(const struct new_slot *slot);
/* Shows a recovery key that was made, once. */
void new_slot_show(const struct new_slot *slot);

/* Puts a slot for the VMK into the session's table, in place of one with the same number. */
int slot_put(const struct command *command, struct vck_key_session *session,
             const struct vck_key_slot_spec *spec, struct vck_bytes secret, struct vck_bytes vmk);

int session_commit(const struct command *command, const char *path,
                   struct vck_key_session *session) VCK_CAN_WAIT;

/* Adds the first slot to a volume that was just made. */
int key_add_first(const struct command *command, const char *path, struct vck_disk *disk,
                  const struct vck_secret *vmk, const struct new_slot *slot) VCK_CAN_WAIT;

/* A guess at how many bits an attacker who knows how people choose has to try. */
unsigned strength_bits(const char *text, size_t size);

#endif
