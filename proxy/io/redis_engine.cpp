#include "proxy/io/redis_engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "proxy/io/tier_cipher.h"

namespace pgsidecar::io {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr std::size_t spare = 1U << 20;  // of a reply, beside the entry
constexpr std::size_t most_nodes = 1000;

redis_options options_from(const config::settings& s) {
    redis_options out{.username = s.shared_cache.redis_username,
                      .password = {},
                      .tls = make_server_side_tls(s.shared_cache.redis_tls),
                      .tls_mode = s.shared_cache.redis_tls.mode,
                      // Keys are in it, too, and another sidecar's entries may be larger.
                      .max_reply = 4 * s.cache.store.max_entry_size + s.max_sql_length + spare};
    if (!s.shared_cache.redis_password_file.empty())
        out.password = read_password(s.shared_cache.redis_password_file);
    return out;
}

redis_options without_password(redis_options o) {
    o.username.clear();
    o.password.clear();
    return o;
}

std::string address_from(std::string_view host, std::string_view port) {
    const bool v6 = host.find(':') != std::string_view::npos;
    std::string out{v6 ? "[" : ""};
    return out.append(host).append(v6 ? "]:" : ":").append(port);
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

unsigned cluster_slot(std::string_view name) noexcept {
    const auto open = name.find('{');
    const auto close =
        open == std::string_view::npos ? std::string_view::npos : name.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1)
        name = name.substr(open + 1, close - open - 1);
    unsigned crc = 0;  // CRC-16/XMODEM
    for (const char c : name) {
        crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8U;
        for (int bit = 0; bit < 8; ++bit)
            crc = ((crc & 0x8000U) != 0 ? crc << 1U ^ 0x1021U : crc << 1U) & 0xffffU;
    }
    return crc % cluster_slots;
}

redis_engine::redis_engine(const config::settings& settings)
    : settings_{settings.shared_cache},
      options_{options_from(settings)},
      of_sentinels_{without_password(options_)} {}

void redis_engine::close() noexcept {
    links_.clear();
    server_.clear();
    nodes_.clear();
}

redis_link* redis_engine::link_to(const std::string& address, time_point until, std::string& why) {
    auto& link = links_[address];
    if (link && link->is_open()) return link.get();
    link = std::make_unique<redis_link>(address, options_);
    why = link->open(until);
    if (why.empty()) return link.get();
    links_.erase(address);
    return nullptr;
}

std::string redis_engine::open(time_point until) {
    close();
    if (settings_.redis_cluster) return open_cluster(until);
    return settings_.redis_sentinel_master.empty() ? open_first(until) : open_by_sentinel(until);
}

// One that does not answer must not take the others' time.
std::string redis_engine::open_first(time_point until) {
    std::string why;
    auto left = static_cast<int>(settings_.redis_addresses.size());
    for (const auto& address : settings_.redis_addresses) {
        const auto now = clock::now();
        if (!link_to(address, now + (until - now) / left--, why)) continue;
        server_ = address;
        return {};
    }
    return why;
}

std::string redis_engine::open_by_sentinel(time_point until) {
    std::string why;
    auto left = static_cast<int>(settings_.redis_addresses.size());
    for (const auto& sentinel : settings_.redis_addresses) {
        const auto now = clock::now();
        why = ask_sentinel(sentinel, now + (until - now) / left--);
        if (why.empty()) return {};
    }
    return why;
}

std::string redis_engine::ask_sentinel(const std::string& sentinel, time_point until) {
    redis_link link{sentinel, of_sentinels_};
    if (auto why = link.open(until); !why.empty()) return why;
    link.add({"SENTINEL", "get-master-addr-by-name", settings_.redis_sentinel_master});
    const auto answer = link.send(until) ? link.next(until) : nullptr;
    if (!answer) return link.error();
    if (const auto code = error_code_of(*answer); !code.empty()) return sentinel + ": " + code;
    if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 2 ||
        !is_port(text_of(*answer->element[1])))
        return sentinel + ": knows no such master";
    server_ = address_from(text_of(*answer->element[0]), text_of(*answer->element[1]));
    std::string why;
    (void)link_to(server_, until, why);
    return why;
}

std::string redis_engine::open_cluster(time_point until) {
    std::string why = "no node answers";
    for (const auto& address : settings_.redis_addresses) {
        auto* link = link_to(address, until, why);
        if (!link) continue;
        why = read_slots(*link, until);
        if (why.empty()) return {};
    }
    return why;
}

// [[first, last, [host, port, ...] of the master, ...] ...]
std::string redis_engine::read_slots(redis_link& from, time_point until) {
    from.add({"CLUSTER", "SLOTS"});
    const auto answer = from.send(until) ? from.next(until) : nullptr;
    if (!answer) return from.error();
    if (const auto code = error_code_of(*answer); !code.empty())
        return from.address() + ": CLUSTER SLOTS: " + code;
    const auto unreadable = from.address() + ": CLUSTER SLOTS cannot be read";
    if (answer->type != REDIS_REPLY_ARRAY) return unreadable;
    constexpr auto nobody = std::numeric_limits<std::uint16_t>::max();
    std::vector<std::string> nodes;
    std::array<std::uint16_t, cluster_slots> node_of{};
    node_of.fill(nobody);
    for (std::size_t i = 0; i < answer->elements; ++i) {
        const auto& range = *answer->element[i];
        if (range.type != REDIS_REPLY_ARRAY || range.elements < 3) return unreadable;
        const auto& master = *range.element[2];
        if (master.type != REDIS_REPLY_ARRAY || master.elements < 2) return unreadable;
        auto host = text_of(*master.element[0]);
        const auto own = from.address().substr(0, from.address().rfind(':'));
        // The node that was asked does not know its own name.
        auto address = host.empty() || host == "?"
                           ? own + ":" + std::to_string(master.element[1]->integer)
                           : address_from(host, std::to_string(master.element[1]->integer));
        auto at = std::ranges::find(nodes, address) - nodes.begin();
        if (static_cast<std::size_t>(at) == nodes.size()) nodes.push_back(std::move(address));
        if (nodes.size() > most_nodes) return unreadable;
        for (auto slot = range.element[0]->integer; slot <= range.element[1]->integer; ++slot)
            if (slot >= 0 && slot < static_cast<long long>(cluster_slots))
                node_of[static_cast<std::size_t>(slot)] = static_cast<std::uint16_t>(at);
            else
                return unreadable;
    }
    if (std::ranges::find(node_of, nobody) != node_of.end())
        return from.address() + ": the cluster does not cover all slots";
    nodes_ = std::move(nodes);
    node_of_ = node_of;
    return {};
}

const std::string& redis_engine::address_of(std::string_view name) const noexcept {
    return settings_.redis_cluster ? nodes_[node_of_[cluster_slot(name)]] : server_;
}

const core::tier_clock& redis_engine::clock_of(std::string_view name) const {
    static const core::tier_clock unknown;
    const auto known = clocks_.find(address_of(name));
    return known == clocks_.end() ? unknown : known->second;
}

std::string redis_engine::check(time_point until) {
    requests all;
    if (!settings_.redis_cluster) {
        all.push_back({.name = {}, .words = {"PING"}});
        return run(all, until);
    }
    const auto nodes = nodes_;
    for (const auto& address : nodes) {
        std::string why;
        auto* link = link_to(address, until, why);
        if (!link) return why;
        request ping{.name = {}, .words = {"PING"}};
        bool moved = false;
        why = exchange({{link, {&ping}}}, until, moved);
        if (!why.empty()) return why;
    }
    return {};
}

std::string redis_engine::run(requests& all, time_point until) {
    for (bool again : {true, false}) {
        parts todo;
        for (auto& r : all) {
            if (r.reply && error_code_of(*r.reply) != "MOVED") continue;
            std::string why;
            auto* link = link_to(address_of(r.name), until, why);
            if (!link) return why;
            todo[link].push_back(&r);
        }
        bool moved = false;
        if (auto why = exchange(todo, until, moved); !why.empty()) return why;
        if (!moved || !again || !settings_.redis_cluster || todo.empty()) return {};
        if (auto why = read_slots(*todo.begin()->first, until); !why.empty()) return why;
    }
    return {};
}

// All nodes work at the same time: each has got its part before the first is heard.
std::string redis_engine::exchange(const parts& todo, time_point until, bool& moved) {
    for (const auto& [link, some] : todo) {
        for (const auto* r : some) link->add(r->words);
        link->add({"TIME"});
        if (!link->send(until)) return link->error();
    }
    for (const auto& [link, some] : todo) {
        for (auto* r : some) {
            r->reply = link->next(until);
            if (!r->reply) return link->error();
            const auto code = error_code_of(*r->reply);
            moved = moved || code == "MOVED";
            if (code == "READONLY" || code == "MASTERDOWN" || code == "CLUSTERDOWN")
                return link->address() + ": " + code;
        }
        const auto time = link->next(until);
        if (!time) return link->error();
        const auto now = time_of(*time);
        if (now.count() == 0) {
            const auto code = error_code_of(*time);
            return link->address() + ": TIME: " + (code.empty() ? "unreadable" : code);
        }
        auto& known = clocks_[link->address()];
        known.note(now, link->sent(), clock::now());
        for (auto* r : some) {
            r->clock = &known;
            r->now = now;
        }
    }
    return {};
}

std::string redis_engine::get(std::span<tier_get> all, time_point until) {
    requests todo;
    for (const auto& g : all) todo.push_back({.name = g.name, .words = {"GET", g.name}});
    if (auto why = run(todo, until); !why.empty()) return why;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& reply = *todo[i].reply;
        if (const auto code = error_code_of(reply); code == "NOPERM" || code == "NOAUTH")
            return "GET: " + code;
        all[i].now = todo[i].now;
        all[i].set_back = todo[i].clock->set_back();
        all[i].found = reply.type == REDIS_REPLY_STRING;
        if (all[i].found) all[i].sealed = text_of(reply);
    }
    return {};
}

std::string redis_engine::put(std::span<tier_put> all, time_point until) {
    requests todo;
    std::vector<std::string> times;
    times.reserve(all.size());  // views point into it
    for (const auto& p : all) {
        times.push_back(std::to_string(duration_cast<milliseconds>(p.expires).count()));
        todo.push_back({.name = p.name, .words = {"SET", p.name, p.sealed, "PXAT", times.back()}});
    }
    if (auto why = run(todo, until); !why.empty()) return why;
    for (std::size_t i = 0; i < all.size(); ++i) all[i].refused = error_code_of(*todo[i].reply);
    return {};
}

}  // namespace pgsidecar::io
