#include "proxy/io/handover.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "proxy/io/log.h"
#include "proxy/io/server.h"

#ifdef _WIN32
#include <winsock2.h>
#else
#include <sys/socket.h>
#endif

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto version = "1";
constexpr auto answer_patience = std::chrono::seconds{10};
// The old process waits for its workers, each of which may be in the middle of something.
constexpr auto place_patience = std::chrono::seconds{60};
constexpr auto cancel_patience = std::chrono::seconds{5};
constexpr auto retry_interval = std::chrono::milliseconds{100};
constexpr std::size_t most_cancels = 256;  // on their way to other processes
constexpr std::size_t most_predecessors = 1000;
constexpr std::size_t most_databases = 100;  // whose catalogs are read before anybody is accepted
constexpr std::string_view database_word = "database ";
constexpr int turn = 64;  // packets of one process before others have their turn

std::string hex(const std::string& bytes) {
    constexpr auto digits = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const auto b = static_cast<unsigned char>(c);
        out.append(1, digits[b >> 4U]).append(1, digits[b & 15U]);
    }
    return out;
}

std::string bytes_of(const std::string& text) {
    const auto value = [](char c) {
        return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10) & 15U;
    };
    std::string out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<char>(value(text[i]) << 4U | value(text[i + 1])));
    return out;
}

std::string name_of(int process) { return "process " + std::to_string(process); }

}  // namespace

struct handover::link {
    link(asio::io_context& context, descriptor connection, role is)
        : what{is},
          process{peer_process(connection.get())},
          channel{context, asio::generic::seq_packet_protocol{AF_UNIX, 0},
                  static_cast<socket::native_handle_type>(connection.release())} {}
    bool say(const std::string& text, int pass = -1) {
        return send_packet(static_cast<int>(channel.native_handle()), text, pass);
    }
    role what;
    const int process;
    socket channel;
    bool closed = false;
    std::set<std::uint64_t> asked;  // cancels that it has not answered
};

struct handover::cancel_request {
    explicit cancel_request(asio::io_context& context) : timer{context} {}
    std::size_t left = 0;
    std::function<void()> done;
    asio::steady_timer timer;
};

handover::handover(asio::io_context& context, server& owner, bool take_over)
    : context_{context},
      server_{owner},
      path_{owner.settings().takeover_socket},
      lock_{path_ + ".lock"},
      guard_{context, lock_, owner.databases(), owner.catalogs(), owner.settings()},
      retry_{context} {
    if (auto there = connect_packets(path_)) {
        if (!take_over)
            throw std::runtime_error("takeover_socket " + path_ + ": " +
                                     name_of(peer_process(there.get())) +
                                     " is serving; start with --take-over to take its place");
        asked_ = std::move(there);
        ask_for_place();
        return;
    }
    alone_ = lock_.serve_alone();
    if (!lock_.accept() || (!alone_ && !lock_.serve()))
        throw std::runtime_error(
            "takeover_socket " + path_ +
            ": another process is serving, or still ending, and does not answer there");
}

handover::~handover() { guard_.stop(); }

void handover::ask_for_place() {
    (void)send_packet(asked_.get(), std::string{"take_over "} + version);
    auto answer = await_packet(asked_.get(), answer_patience);
    for (; answer && answer->text.starts_with(database_word);
         answer = await_packet(asked_.get(), answer_patience))
        databases_in_use_.push_back(bytes_of(answer->text.substr(database_word.size())));
    if (answer && answer->text == "listener" && answer->passed) {
        listener_ = std::move(answer->passed);
        return;
    }
    std::string why = "it does not answer";
    if (answer) why = answer->text.empty() ? "it has ended" : answer->text;
    throw std::runtime_error("takeover_socket " + path_ + ": " +
                             name_of(peer_process(asked_.get())) + " keeps its place: " + why);
}

void handover::begin() {
    if (asked_) {
        const int process = peer_process(asked_.get());
        (void)send_packet(asked_.get(), "ready");
        const auto answer = await_packet(asked_.get(), place_patience);
        if (!answer || answer->text != "yours" || !lock_.serve() || !lock_.accept())
            throw std::runtime_error("takeover_socket " + path_ + ": " + name_of(process) +
                                     " has not given its place");
        log_info("taking the place of " + name_of(process));
        open_path();
        const auto before = adopt(std::move(asked_), role::predecessor);
        predecessors_.push_back(before);
        predecessors_known_.store(predecessors_.size());
        wait(before);
    } else {
        open_path();
    }
    guard_.begin(alone_);
}

void handover::open_path() {
    path_listener_ = std::make_unique<socket>(
        context_, asio::generic::seq_packet_protocol{AF_UNIX, 0},
        static_cast<socket::native_handle_type>(listen_for_packets(path_).release()));
    wait_for_connections();
}

void handover::wait_for_connections() {
    path_listener_->async_wait(socket::wait_read, [this](error_code error) {
        if (error || !path_listener_) return;
        while (auto connection = accept_packets(static_cast<int>(path_listener_->native_handle())))
            wait(adopt(std::move(connection), role::unknown));
        wait_for_connections();
    });
}

handover::link_ptr handover::adopt(descriptor connection, role what) {
    return std::make_shared<link>(context_, std::move(connection), what);
}

void handover::wait(const link_ptr& from) {
    from->channel.async_wait(socket::wait_read, [this, from](error_code error) {
        if (error || from->closed) return;
        for (int i = 0; i < turn; ++i) {
            const auto got = receive_packet(static_cast<int>(from->channel.native_handle()));
            if (!got) break;
            if (got->text.empty()) return lost(from);
            on_packet(from, got->text);
            if (from->closed) return;
        }
        wait(from);
    });
}

void handover::on_packet(const link_ptr& from, const std::string& text) {
    std::istringstream in{text};
    std::string word, first;
    in >> word >> first;
    if (from->what == role::unknown && word == "take_over") return on_take_over(from, first);
    if (from->what == role::unknown && word == "leaving") {
        if (predecessors_.size() >= most_predecessors) return lost(from);
        from->what = role::predecessor;
        predecessors_.push_back(from);
        predecessors_known_.store(predecessors_.size());
    } else if (from->what == role::candidate && word == "ready") {
        give_place();
    } else if (from->what == role::predecessor && word == "cancelled") {
        const auto id = std::strtoull(first.c_str(), nullptr, 10);
        if (from->asked.erase(id) > 0) answered(id);
    } else if (from->what == role::successor && word == "cancel") {
        pass_cancel(from, text);
    } else if (from->what == role::successor && word == "stop") {
        server_.stop();
    }
}

void handover::on_take_over(const link_ptr& from, const std::string& theirs) {
    const int listening = server_.listener();
    std::string busy;
    if (theirs != version) busy = "it speaks another version of the hand-over";
    if (candidate_ || yielding_)
        busy = name_of(candidate_ ? candidate_->process : 0) + " asks, too";
    if (listening < 0) busy = "it does not accept clients any more";
    if (!busy.empty()) {
        (void)from->say(busy);
        return lost(from);
    }
    log_info("hand-over: " + name_of(from->process) + " asks for the place of this one");
    from->what = role::candidate;
    candidate_ = from;
    std::size_t told = 0;
    server_.databases().for_each([&](core::database& d) {
        if (d.clients.load() > 0 && told++ < most_databases)
            (void)from->say(std::string{database_word} + hex(d.name()));
    });
    (void)from->say("listener", listening);
}

void handover::give_place() {
    yielding_ = true;
    listener_.reset(server_.stop_accepting());
    server_.leave_http();
    // What was accepted before has its turn first.
    asio::post(context_, [this] {
        guard_.suspend();
        server_.when_workers_rest([this] { on_workers_at_rest(); });
    });
}

void handover::on_workers_at_rest() {
    yielding_ = false;
    if (stopped_) return;
    guard_.let_others_serve();
    lock_.stop_accepting();
    path_listener_.reset();
    const auto to = std::exchange(candidate_, nullptr);
    if (to && to->say("yours")) return leave(to);
    if (to) lost(to);
    find_successor();
}

void handover::leave(const link_ptr& to) {
    to->what = role::successor;
    successor_ = to;
    log_info("handed over to " + name_of(to->process));
    server_.leave();
}

void handover::take_back() {
    log_warning("the process that had taken over is gone: this one accepts clients again");
    server_.accept_again(listener_.release());
    try {
        open_path();
    } catch (const std::exception& error) {
        log_error(error.what());
    }
    guard_.begin(false);
}

// The one that had this process's place is gone. Either it has handed over itself, or nobody is
// there; and of several that are leaving one takes the place.
void handover::find_successor() {
    if (stopped_) return;
    descriptor next;
    try {
        next = connect_packets(path_);
    } catch (const std::exception& error) {
        log_warning(error.what());
    }
    if (next) {
        const auto to = adopt(std::move(next), role::successor);
        if (to->say("leaving")) {
            leave(to);
            return wait(to);
        }
    } else if (lock_.accept()) {
        return take_back();
    }
    retry_.expires_after(retry_interval);
    retry_.async_wait([this](error_code error) {
        if (!error) find_successor();
    });
}

void handover::lost(const link_ptr& gone) {
    gone->closed = true;
    error_code ignored;
    gone->channel.close(ignored);
    for (const auto id : std::exchange(gone->asked, {})) answered(id);
    if (gone == candidate_) {
        candidate_.reset();
        log_warning("hand-over: " + name_of(gone->process) + " is gone, this one stays");
    } else if (gone == successor_) {
        successor_.reset();
        find_successor();
    } else if (gone->what == role::predecessor) {
        std::erase(predecessors_, gone);
        predecessors_known_.store(predecessors_.size());
        log_info(name_of(gone->process) + ", which served before, has ended");
        guard_.look_now();
    }
}

void handover::stop() {
    if (std::exchange(stopped_, true)) return;
    for (const auto& before : predecessors_) (void)before->say("stop");
    path_listener_.reset();
    listener_.reset(server_.stop_accepting());
    listener_.reset();
    retry_.cancel();
}

void handover::cancel(std::int32_t pid, std::string key, std::function<void()> done) {
    asio::post(context_, [this, pid, key = std::move(key), done = std::move(done)] {
        if (predecessors_.empty() || cancels_.size() >= most_cancels) return done();
        const auto id = next_cancel_++;
        const auto request = std::make_shared<cancel_request>(context_);
        request->done = done;
        cancels_.emplace(id, request);
        const auto text =
            "cancel " + std::to_string(id) + " " + std::to_string(pid) + " " + hex(key);
        for (const auto& before : predecessors_) {
            if (!before->say(text)) continue;
            before->asked.insert(id);
            ++request->left;
        }
        if (request->left == 0) return ++request->left, answered(id);
        request->timer.expires_after(cancel_patience);
        request->timer.async_wait([this, id, request](error_code error) {
            if (!error && request->left > 0) request->left = 1, answered(id);
        });
    });
}

void handover::answered(std::uint64_t id) {
    const auto at = cancels_.find(id);
    if (at == cancels_.end() || --at->second->left > 0) return;
    const auto request = std::move(at->second);
    cancels_.erase(at);
    request->timer.cancel();
    request->done();
}

void handover::pass_cancel(const link_ptr& from, const std::string& text) {
    std::istringstream in{text};
    std::string word, key;
    std::uint64_t id = 0;
    std::int32_t pid = 0;
    if (!(in >> word >> id >> pid >> key)) return;
    server_.cancel(pid, bytes_of(key), [this, from, id] {
        asio::post(context_, [from, id] {
            if (!from->closed) (void)from->say("cancelled " + std::to_string(id));
        });
    });
}

}  // namespace pgsidecar::io
