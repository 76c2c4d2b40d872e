// One connected TCP socket of a worker: calls that never block, and for each direction one wait at
// a time. Two classes have this interface; a build takes one of them:
//
//   epoll_socket  Linux. The socket stays registered for what it waits for again and again, so that
//                 the next wait costs no system call.
//   asio_socket   elsewhere, and on Linux with PGSIDECAR_ASIO_SOCKETS, for its tests. Asio's waits.
//
// A handler is called once: without an error when the call is worth trying, with operation_aborted
// when the socket was closed meanwhile; never from within the call that took it. One that was on
// its way when its socket went may still be called: owners know what has ended. All on the thread
// of the io_context; only the socket that is given to the constructor may come from another
// context.
#pragma once
#if defined(__linux__) && !defined(PGSIDECAR_ASIO_SOCKETS)
#include "proxy/io/epoll_socket.h"
namespace pgsidecar::io {
using stream_socket = epoll_socket;
}
#else
#include "proxy/io/asio_socket.h"
namespace pgsidecar::io {
using stream_socket = asio_socket;
}
#endif
