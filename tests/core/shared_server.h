// One server connection that sessions share, for scripts: it lies here while nobody has it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tests/core/toy_crypto.h"
#include "tests/core/world.h"

namespace core_test {

// Sessions are made with numbers from 1.
class shared_server : public pool_host {
  public:
    explicit shared_server(world& w, std::vector<std::string> followed = {"application_name"})
        : world_{w} {
        w.options.scram = &toy_crypto;
        w.options.authenticates = w.options.pooled = true;
        w.options.followed_startup = std::move(followed);
        renew();
    }
    // A session that is logged in, and has given the connection back.
    wired& log_in(std::vector<protocol::startup_parameter> more = {}) {
        sessions_.push_back(
            std::make_unique<wired>(world_, (sessions_.size() + 1) << 20U, 0, this));
        auto& l = *sessions_.back();
        l.client(client_startup(std::move(more)));
        restored(l);
        (void)l.to_client();
        return l;
    }
    // Answers what is being restored; what else was sent is forgotten.
    void restored(wired& l) {
        constexpr auto name = "E'application_name',E'"sv;
        for (auto sent = l.to_server(); sent.find("set_config") != std::string::npos;
             sent = l.to_server()) {
            const auto at = sent.find(name);
            const auto value =
                at == std::string::npos ? std::string{} : sent.substr(at + name.size());
            l.server(described() + row_of("") + completed("SELECT 1") +
                     (value.empty()
                          ? std::string{}
                          : parameter("application_name", value.substr(0, value.find('\'')))) +
                     ready());
        }
    }
    // Another one, which has just been opened.
    void renew() {
        link = std::make_unique<core::server_link>();
        link->report("TimeZone", "UTC");
        link->report("server_encoding", "UTF8");
        link->report("client_encoding", "UTF8");
        link->report("standard_conforming_strings", "on");
        link->report("application_name", "");
        if (stale > 0)
            --stale;
        else
            link->login_altered = world_.dbs.defaults_altered.load();
    }

    std::unique_ptr<core::server_link> link;
    std::string left;  // what whoever gave it back wrote last
    bool free = true;
    std::size_t taken = 0;  // how often, without waiting
    std::size_t unfit = 0;  // how often it was given back to be closed
    std::size_t waiting = 0;
    std::size_t stale = 0;  // so many of the next ones logged in before the defaults were altered

  private:
    void join(std::uint64_t token) override {
        of(token).session().on_pool_joined(7, std::string(32, 'k'));
    }
    core::server_link* take_now(std::uint64_t) override {
        if (!std::exchange(free, false)) return nullptr;
        ++taken;
        return link.get();
    }
    void acquire(std::uint64_t token) override {
        if (std::exchange(free, false)) return of(token).attach(*link);
        ++waiting;
    }
    void forget(std::uint64_t) override { --waiting; }
    void give_back(std::uint64_t token, std::string_view) override {
        left = of(token).to_server();
        free = true;
        if (!link->unfit) return;
        ++unfit;
        renew();
    }
    wired& of(std::uint64_t token) { return *sessions_[(token >> 20U) - 1]; }

    world& world_;
    std::vector<std::unique_ptr<wired>> sessions_;
};

}  // namespace core_test
