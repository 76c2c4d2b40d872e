// Carries out what the admin console's clients ask for. Lives on main()'s thread, where it may look
// at server, settings and counters without a lock; workers call it through ask(), cancel() and
// forget(), from any thread. What takes its time (PAUSE, WAIT_CLOSE, the look at the workers) is
// answered later; a client has one request at a time.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/configuration.h"
#include "proxy/ops/console_protocol.h"
#include "proxy/ops/console_views.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::io {

class explainer;
class server;
class worker;

class console {
  public:
    using reply = std::function<void(ops::console_answer)>;  // called on main()'s thread
    struct who {
        std::uint64_t token = 0;  // its session
        std::string user;         // for the log
    };

    // `program`: its name and version, as SHOW VERSION gives them.
    console(boost::asio::io_context& context, server& of, std::string program);
    ~console();
    console(const console&) = delete;
    console& operator=(const console&) = delete;

    void start();
    void ask(who asks, ops::console_command command, reply done);
    void cancel(std::uint64_t token);  // what it waits for ends with 57014; its PAUSE is taken back
    void forget(std::uint64_t token);  // it has gone; a PAUSE stays
    void stop();
    [[nodiscard]] const std::string& program() const noexcept { return program_; }

  private:
    struct wait {
        std::uint64_t token = 0;
        ops::console_command command;
        reply done;
    };

    [[nodiscard]] static configuration::handler told(const reply& done);
    void run(const who& asks, const ops::console_command& c, const reply& done);
    void show(const who& asks, const ops::console_command& c, const reply& done);
    void show_counted(const ops::console_command& c, const reply& done);
    void show_live(ops::console_view v, const reply& done);
    // console_control.cpp
    [[nodiscard]] bool known(const std::string& database) const;
    void control(const ops::console_command& c, std::uint64_t token, const reply& done);
    void pause(const ops::console_command& c, std::uint64_t token, const reply& done);
    void resume(const ops::console_command& c, const reply& done);
    void let_go(const std::string& database);
    void kill(const ops::console_command& c, const reply& done);
    void kill_client(const ops::console_command& c, const reply& done);
    void wait_for(std::uint64_t token, const ops::console_command& c, const reply& done);
    void look_again();
    void count_awaited(const ops::console_command& c, std::function<void(std::size_t)> then);
    void shut_down(const ops::console_command& c, const reply& done);
    [[nodiscard]] ops::console_answer invalidate(const ops::console_command& c);
    // console_invalidate.cpp
    [[nodiscard]] ops::console_answer invalidate_table(const ops::console_command& c);
    [[nodiscard]] ops::console_answer invalidate_rule(const std::string& name);
    [[nodiscard]] ops::console_answer invalidate_tenant(const std::string& name);

    boost::asio::io_context& context_;
    server& server_;
    const std::string program_;
    boost::asio::steady_timer timer_;  // runs while somebody waits
    std::list<wait> waits_;
    // What was counted until then, for averages; the oldest is a minute old.
    std::deque<std::shared_ptr<const ops::observations>> samples_;
    std::unique_ptr<explainer> explainer_;
};

}  // namespace pgsidecar::io
