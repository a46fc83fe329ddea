/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prot: what the files of vck-prot share. The command is a client of a host that carries raw
 * frames: another vck-prot that serves, or one in its own process.
 *
 *     options  the command line        host    protocol, connections, a thread each
 *     client   requests to the host    verbs   what the command does
 *     client_posix, client_win         what carries them: a socket; the driver ndisprot.sys
 *     pattern  frames that can be checked
 *
 * Functions that return an int return an exit code (products/command/command.h).
 */
#ifndef VCK_PRODUCTS_VCK_PROT_PROT_H
#define VCK_PRODUCTS_VCK_PROT_PROT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "products/command/command.h"
#include "vck/annotate.h"
#include "vck/frame_control.h"

/* ---- options ---- */

enum option_id {
    OPTION_COUNT_OF, /* --count */
    OPTION_ETHER_TYPE,
    OPTION_HELP,
    OPTION_IDLE,
    OPTION_JSON,
    OPTION_PROMISCUOUS,
    OPTION_QUEUE,
    OPTION_SIZE,
    OPTION_SOCKET,
    OPTION_TIMEOUT,
    OPTION_TO,
    OPTION_VERSION,
    OPTION_COUNT
};

extern const struct grammar prot_grammar;

/* "MIN-MAX" or one number. */
int option_range(const struct command *command, enum option_id id, uint32_t lowest,
                 uint32_t highest, uint32_t *ret_lowest, uint32_t *ret_highest);
/* "02:00:00:00:00:01". */
int option_address(const struct command *command, enum option_id id,
                   uint8_t ret_address[VCK_FRAME_ADDRESS_BYTES]);
/* A number of four hexadecimal digits, or "all". */
int option_ether_type(const struct command *command, uint16_t *ret_ether_type);

/* ---- host (host.c, host_connection.c) ---- */

#define PACKET_BYTES_MAX 16384u
#define PACKET_HEAD      8u /* code or NTSTATUS, and a tag that comes back */
#define PACKETS_BATCH    32u
#define CALLS_MAX        512u /* of a connection, in flight */

struct host;

/* Starts the protocol for these adapters (NULL: all). PASSIVE. */
int host_create(const struct command *command, const char *const *names, uint32_t queue_frames,
                struct host **ret_host) VCK_CAN_WAIT;
void host_destroy(struct host *host VCK_TAKES) VCK_CAN_WAIT;
/* Serves a connected descriptor, which it takes, on a thread; false: there is none to be had. */
bool host_connect(struct host *host, int fd VCK_TAKES);
/* Serves the socket at path until a signal ends it. */
int host_serve(struct host *host, const struct command *command, const char *path) VCK_CAN_WAIT;

struct connection;
/* The thread's, until the other side hangs up. */
void connection_run(struct connection *connection) VCK_CAN_WAIT;
struct connection *connection_create(struct vck_frame_protocol *protocol, int fd);
void connection_destroy(struct connection *connection);
int connection_fd(const struct connection *connection);

/* ---- client ---- */

/* A request and its answer. */
struct slot {
    uint32_t code;
    const void *in; /* until the answer is there */
    size_t in_bytes;
    void *out;
    size_t out_bytes; /* room; then what the answer has */
    uint32_t nt;
    char why[160]; /* a refusal in words */
    unsigned tag;  /* the client's */
};

#define SLOTS_MAX 256u

struct client;

int client_open(const struct command *command, struct client **ret_client) VCK_CAN_WAIT;
const struct command *client_command(const struct client *client);
void client_close(struct client *client) VCK_CAN_WAIT;
/* Sends a request; it goes out with the next wait. At most SLOTS_MAX are in flight. */
void client_submit(struct client *client, struct slot *slot);
/* The next slot that is answered, NULL after timeout_ms (-1: none); a code other than 0 when the
 * host is lost or a signal came. */
int client_wait(struct client *client, int timeout_ms, struct slot **ret_slot);
/* One request, alone. */
int client_ask(struct client *client, uint32_t code, const void *in, size_t in_bytes, void *out,
               size_t *out_bytes);
/* Reports a refusal; the exit code it stands for. */
int client_refused(struct client *client, const struct slot *slot);
/* Opens the adapter for the EtherType of the command, with its filter. */
int client_open_adapter(struct client *client, const char *name);
int client_state(struct client *client, struct vck_frame_state_message *ret_state);

/* Whether a signal asked the command to end. */
bool is_interrupted(void);
void watch_signals(void);

/* ---- pattern ---- */

enum pattern_kind {
    PATTERN_DATA = 1,
    PATTERN_END = 2, /* `number` is how many there were */
    PATTERN_PING = 3,
    PATTERN_ANSWER = 4,
};

struct pattern {
    uint8_t kind;
    uint64_t session; /* of one sender */
    uint64_t number;
    uint64_t time_ns; /* the sender's clock */
};

#define PATTERN_BYTES_MIN 60u

/* A whole frame of size_bytes, at least PATTERN_BYTES_MIN. */
void pattern_make(const struct pattern *pattern, const uint8_t to[VCK_FRAME_ADDRESS_BYTES],
                  const uint8_t from[VCK_FRAME_ADDRESS_BYTES], uint16_t ether_type, uint8_t *frame,
                  size_t size_bytes);
/* False: not one of ours, or damaged; *ret_is_ours says which. */
bool pattern_read(const uint8_t *frame, size_t size_bytes, struct pattern *ret_pattern,
                  bool *ret_is_ours);
/* The size of the number-th frame: all between come about. */
uint32_t pattern_size(uint64_t number, uint32_t lowest, uint32_t highest);

/* ---- verbs ---- */

int run_serve(const struct command *command);
int run_list(const struct command *command);
int run_show(const struct command *command);
int run_send(const struct command *command);
int run_receive(const struct command *command);
int run_ping(const struct command *command);
int run_answer(const struct command *command);

/* Waiting is allowed on every thread of this program; says so to the compiler. */
static inline void waiting_is_fine(void) VCK_ASSUME_CAN_WAIT;
static inline void waiting_is_fine(void)
{
}

#endif
