// What the two kinds of socket (epoll_socket, asio_socket) have in common; see stream_socket.h.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

namespace pgsidecar::io {

using tcp = boost::asio::ip::tcp;

// Who is called when a wait is over, and what stays alive until then: any callable, or, without an
// allocation, a member function of an object that waits for every message. By default nobody.
class wait_handler {
  public:
    wait_handler() noexcept = default;
    template <std::invocable<boost::system::error_code> F>
    requires(!std::same_as<F, wait_handler>)
        wait_handler(F f)  // as a function's parameter takes a lambda
        : target_{std::make_shared<F>(std::move(f))},
          call_{[](void* target, std::uint64_t, boost::system::error_code error) {
              (*static_cast<F*>(target))(error);
          }} {}
    // Calls (object->*member)(error, tag).
    template <auto member, class T>
    [[nodiscard]] static wait_handler of(std::shared_ptr<T> object, std::uint64_t tag) noexcept {
        wait_handler made;
        made.target_ = std::move(object);
        made.call_ = [](void* target, std::uint64_t given, boost::system::error_code error) {
            (static_cast<T*>(target)->*member)(error, given);
        };
        made.tag_ = tag;
        return made;
    }
    // Of one that lives for as long as any wait.
    template <auto member, class T>
    [[nodiscard]] static wait_handler of(T& object, std::uint64_t tag) noexcept {
        return of<member>(std::shared_ptr<T>{std::shared_ptr<T>{}, &object}, tag);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return target_ != nullptr; }
    void operator()(boost::system::error_code error) const { call_(target_.get(), tag_, error); }

  private:
    std::shared_ptr<void> target_;
    void (*call_)(void*, std::uint64_t, boost::system::error_code) = nullptr;
    std::uint64_t tag_ = 0;
};

enum class io_status : std::uint8_t { ok, would_block, closed };

// Pieces of one gathered write: more wait for the next.
constexpr std::size_t gather_limit = 64;

}  // namespace pgsidecar::io
