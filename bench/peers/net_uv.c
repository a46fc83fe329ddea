/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-uv: the same requests as vck-fetch makes, with libuv.
 *
 *     net-uv CONNECTIONS WINDOW PORT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BUFFER_BYTES 1024

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

struct lane {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    char buffer[BUFFER_BYTES];
};

static uv_loop_t loop;
static struct sockaddr_in server;
static unsigned long left;
static unsigned long replies;

static void begin(struct lane *lane);

static void on_close(uv_handle_t *handle)
{
    begin(handle->data);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct lane *lane = handle->data;

    (void)suggested;
    *ret_buffer = uv_buf_init(lane->buffer, sizeof(lane->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    if (size == 0)
        return;
    if (size > 12 && memcmp(buffer->base, "HTTP/1.1 200", 12) == 0)
        replies++;
    uv_close((uv_handle_t *)stream, on_close);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct lane *lane = connect->data;
    uv_buf_t data = uv_buf_init((char *)(size_t)request, sizeof(request) - 1);

    if (status < 0) {
        uv_close((uv_handle_t *)&lane->tcp, on_close);
        return;
    }
    uv_write(&lane->write, (uv_stream_t *)&lane->tcp, &data, 1, NULL);
    uv_read_start((uv_stream_t *)&lane->tcp, give_buffer, on_read);
}

static void begin(struct lane *lane)
{
    if (left == 0)
        return;
    left--;
    uv_tcp_init(&loop, &lane->tcp);
    lane->tcp.data = lane;
    lane->connect.data = lane;
    if (uv_tcp_connect(&lane->connect, &lane->tcp, (struct sockaddr *)&server, on_connect) < 0)
        uv_close((uv_handle_t *)&lane->tcp, on_close);
}

int main(int argc, char **argv)
{
    unsigned long count = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long window = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    struct lane *lanes = calloc(window, sizeof(*lanes));
    uv_rusage_t usage;

    if (count == 0 || lanes == NULL)
        return 2;
    uv_loop_init(&loop);
    uv_ip4_addr("127.0.0.1", atoi(argv[3]), &server);
    left = count;
    uint64_t start_ns = uv_hrtime();
    for (unsigned long i = 0; i < window; i++)
        begin(&lanes[i]);
    uv_run(&loop, UV_RUN_DEFAULT);
    double seconds = (double)(uv_hrtime() - start_ns) / 1e9;
    uv_getrusage(&usage);
    printf("{\"replies\": %lu, \"seconds\": %.6f, \"requests_per_second\": %.1f, "
           "\"peak_kib\": %llu}\n",
           replies, seconds, (double)replies / seconds, (unsigned long long)usage.ru_maxrss);
    free(lanes);
    return replies != count;
}
