/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tpm_make: what a new slot is sealed to: PCRs with the values that they have, or are told to get,
 * and a PIN.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"
#include "products/vck/tpm.h"

#define PCRS_DEFAULT (1u << 7) /* what Secure Boot trusts */
#define CONFIG_PCR   12u
#define PIN_MIN      4u
#define CONFIG_MAX   65536u
#define VALUE_DIGITS (2 * VCK_TPM_DIGEST_BYTES)

/* ---- which PCRs ---- */

static bool parse_pcr(const char **at, uint32_t *ret_number)
{
    const char *p = *at;
    uint32_t number = 0;
    for (unsigned digits = 0; *p >= '0' && *p <= '9' && digits < 2; digits++)
        number = number * 10 + (uint32_t)(*p++ - '0');
    if (p == *at || number >= VCK_TPM_PCRS)
        return false;
    *at = p;
    *ret_number = number;
    return true;
}

static int parse_pcrs(const struct command *command, const char *text, uint32_t *ret_pcrs)
{
    uint32_t number, pcrs = 0;
    const char *at = text;
    do {
        if (!parse_pcr(&at, &number) || (pcrs >> number & 1u) != 0 || (*at != ',' && *at != 0))
            return report_usage(command,
                                "--pcrs is %s; different numbers from 0 to %u are expected, with "
                                "commas between them",
                                text, VCK_TPM_PCRS - 1);
        pcrs |= 1u << number;
    } while (*at++ == ',');
    *ret_pcrs = pcrs;
    return EXIT_OK;
}

/* ---- which values ---- */

/* "7: 0x..." with spaces wherever somebody likes them. */
static bool parse_value(const char *line, struct vck_tpm_policy *policy, uint32_t *ret_pcr)
{
    uint8_t value[VCK_TPM_DIGEST_BYTES] = {0};
    line += strspn(line, " \t");
    if (!parse_pcr(&line, ret_pcr))
        return false;
    line += strspn(line, " \t");
    if (*line++ != ':')
        return false;
    line += strspn(line, " \t");
    if (line[0] == '0' && (line[1] | 0x20) == 'x')
        line += 2;
    for (unsigned i = 0; i < VALUE_DIGITS; i++, line++) {
        int digit = hex_digit(*line);
        if (digit < 0)
            return false;
        value[i / 2] = (uint8_t)(value[i / 2] << 4 | digit);
    }
    if (line[strspn(line, " \t\r")] != 0)
        return false;
    memcpy(policy->values[*ret_pcr], value, sizeof(value));
    return true;
}

static int parse_values(const struct command *command, const char *name, char *text,
                        struct vck_tpm_policy *policy, uint32_t *known)
{
    unsigned number = 1;
    for (char *line = text, *end; line != NULL; line = end, number++) {
        uint32_t pcr = 0;
        end = strchr(line, '\n');
        if (end != NULL)
            *end++ = 0;
        const char *first = line + strspn(line, " \t\r");
        if (*first == 0 || *first == '#' || strncmp(first, "sha256:", 7) == 0)
            continue;
        if (!parse_value(line, policy, &pcr))
            return report(command, EXIT_FAILED,
                          "%s, line %u: a PCR, a colon and %u hexadecimal digits are expected",
                          name, number, VALUE_DIGITS);
        if ((*known >> pcr & 1u) != 0)
            return report(command, EXIT_FAILED, "%s, line %u: PCR %u is there twice", name, number,
                          pcr);
        *known |= 1u << pcr;
    }
    return EXIT_OK;
}

/* A whole small file with a zero behind it. */
static int read_file(const struct command *command, const char *name, char *buffer,
                     size_t *ret_size)
{
    intptr_t file;
    int error = os_open(name, &file);
    if (error != 0)
        return report(command, exit_code_of(os_error_status(error)), "cannot open %s: %s", name,
                      os_error_text(error));
    error = os_read(file, buffer, CONFIG_MAX + 1, ret_size);
    os_close(file);
    if (error != 0)
        return report(command, EXIT_FAILED, "cannot read %s: %s", name, os_error_text(error));
    if (*ret_size > CONFIG_MAX)
        return report(command, EXIT_FAILED, "%s is longer than %u bytes", name, CONFIG_MAX);
    buffer[*ret_size] = 0;
    return EXIT_OK;
}

/* What the options say that PCRs are going to be; *known gets a bit for each. */
static int read_expected(const struct command *command, struct vck_tpm_policy *policy,
                         uint32_t *known)
{
    const char *values = command->values[OPTION_PCR_VALUES];
    const char *config = command->values[OPTION_BOOT_CONFIG];
    size_t size;
    int code = EXIT_OK;
    char *buffer = vck_alloc(CONFIG_MAX + 2, VCK_TAG('C', 'p', 'c', 'r'));
    if (buffer == NULL)
        return report(command, EXIT_FAILED, "no memory");
    if (values != NULL)
        code = read_file(command, values, buffer, &size);
    if (code == EXIT_OK && values != NULL)
        code = parse_values(command, values, buffer, policy, known);
    if (code == EXIT_OK && config != NULL && (*known >> CONFIG_PCR & 1u) != 0)
        code = report(command, EXIT_FAILED, "--boot-config and %s both say what PCR %u is", values,
                      CONFIG_PCR);
    if (code == EXIT_OK && config != NULL)
        code = read_file(command, config, buffer, &size);
    if (code == EXIT_OK && config != NULL) {
        vck_tpm_extend_once((struct vck_bytes){(const uint8_t *)buffer, size},
                            policy->values[CONFIG_PCR]);
        *known |= 1u << CONFIG_PCR;
    }
    vck_free(buffer);
    return code;
}

static int explain(const struct command *command, const struct vck_tpm *tpm)
{
    char why[VCK_TPM_TEXT_BYTES];
    vck_tpm_explain(tpm, why);
    return report(command, EXIT_FAILED, "cannot seal: %s", why);
}

static int choose_policy(const struct command *command, const struct vck_tpm_policy *old,
                         struct vck_tpm *tpm, struct vck_tpm_policy *policy)
{
    struct vck_tpm_policy now = {0};
    uint32_t known = 0;
    policy->pcrs = old->pcrs;
    policy->has_pin = old->has_pin || option_given(command, OPTION_PIN);
    int code = option_given(command, OPTION_PCRS)
                   ? parse_pcrs(command, command->values[OPTION_PCRS], &policy->pcrs)
                   : EXIT_OK;
    if (code == EXIT_OK)
        code = read_expected(command, policy, &known);
    if (code == EXIT_OK && (known & ~policy->pcrs) != 0)
        code = report_usage(command, "a value is given for a PCR that is not in --pcrs");
    if (code != EXIT_OK)
        return code;
    now.pcrs = policy->pcrs & ~known;
    if (now.pcrs != 0 && vck_tpm_read_pcrs(tpm, &now) != VCK_OK)
        return explain(command, tpm);
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        if ((now.pcrs >> i & 1u) != 0)
            memcpy(policy->values[i], now.values[i], VCK_TPM_DIGEST_BYTES);
    return EXIT_OK;
}

/* ---- the PIN, and sealing ---- */

static int read_new_pin(const struct command *command, struct secret_text *ret_pin)
{
    const char *path = command->values[OPTION_NEW_KEY_FILE];
    int code = path != NULL ? secret_read(command, path, ret_pin)
                            : secret_ask_new(command, "PIN", PIN_MIN, ret_pin);
    return code == EXIT_OK ? secret_check_new(command, "PIN", PIN_MIN, ret_pin) : code;
}

static int seal(const struct command *command, struct vck_tpm *tpm,
                const struct vck_tpm_policy *policy, struct new_slot *slot)
{
    struct vck_secret *secret = &slot->secret.bytes;
    struct secret_text pin = {0};
    int code = policy->has_pin ? read_new_pin(command, &pin) : EXIT_OK;
    if (code == EXIT_OK && (vck_secret_init(secret, VCK_TPM_SECRET_BYTES) != VCK_OK ||
                            vck_random(secret->data, secret->size_bytes) != VCK_OK))
        code = report(command, EXIT_FAILED, "no random bytes, or no memory for them");
    if (code == EXIT_OK && vck_tpm_seal(tpm, policy, pin.line, secret->data, slot->payload,
                                        &slot->payload_bytes) != VCK_OK)
        code = explain(command, tpm);
    secret_fini(&pin);
    return code;
}

int tpm_slot_make(const struct command *command, const struct vck_key_slot *old,
                  struct new_slot *slot)
{
    struct vck_tpm_policy old_policy = {.pcrs = PCRS_DEFAULT}, policy = {0};
    struct vck_bytes payload;
    struct tpm_access access = {0};
    if (old != NULL && vck_key_slot_payload(old, &payload) == VCK_OK &&
        vck_tpm_policy_of(payload, &old_policy) != VCK_OK)
        return report(command, EXIT_REFUSED, "the slot is sealed in a way that is not known here");
    int code = EXIT_FAILED;
    if (tpm_access_open(&access, command))
        code = choose_policy(command, &old_policy, access.tpm, &policy);
    if (code == EXIT_OK)
        code = seal(command, access.tpm, &policy, slot);
    tpm_access_close(&access);
    return code;
}
