/* A FastCGI responder on libfcgi: what the protocol costs without Python.  responder LOAD SOCKET THREADS
 *
 * libfcgi serves one connection per thread until the web server closes it, so kept connections need as many threads
 * as there are connections.  The answers are byte for byte those of apps.py; the harness compares them. */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int listener;
static int (*answer)(FCGX_Request *);
static char hello_body[141];
static const int page_sizes[] = {512, 2048, 4096, 4096, 1536};
static char page_blocks[5][4097];

static void repeat(char *to, size_t size, const char *text) {
    size_t step = strlen(text);
    for (size_t at = 0; at < size; at++) to[at] = text[at % step];
}

static int hello(FCGX_Request *request) {
    FCGX_PutS("Content-Type: text/plain; charset=utf-8\r\nContent-Length: 140\r\n\r\n", request->out);
    return FCGX_PutStr(hello_body, 140, request->out);
}

static int page(FCGX_Request *request) {
    const char *last = FCGX_GetParam("HTTP_X_LAST", request->envp);
    FCGX_FPrintF(request->out, "Content-Type: text/html; charset=utf-8\r\nSet-Cookie: last=%s; Path=/; HttpOnly\r\n\r\n",
                 last ? last : "missing");
    for (int block = 0; block < 5; block++) FCGX_PutStr(page_blocks[block], page_sizes[block], request->out);
    return 0;
}

static void *serve(void *unused) {
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    answer = strcmp(arguments[1], "page") ? hello : page;
    repeat(hello_body, 140, "Hello from a small application behind nginx.\n");
    for (int block = 0; block < 5; block++) {
        char text[64];
        snprintf(text, sizeof text, "<p>penstock bench, block %d</p>\n", block);
        repeat(page_blocks[block], page_sizes[block], text);
    }
    FCGX_Init();
    listener = FCGX_OpenSocket(arguments[2], 1024);
    if (listener < 0) return 4;
    for (int thread = atoi(arguments[3]); thread > 1; thread--) {
        pthread_t started;
        if (pthread_create(&started, NULL, serve, NULL)) return 1;
    }
    serve(NULL);
    return 0;
}
