// One client's conversation with the admin console, from its log-in on: bytes in, bytes and
// requests out. No socket and no clock; the pump shows it what the client sends and writes what it
// makes, and proxy/io/console answers its requests, one at a time.
//
//     greet() -> on_client() ... -> request() -> answer() -> on_client() ...
//
// While waiting() no message is taken: on_client() returns 0. It returns how many bytes it took;
// the caller keeps the rest. closed(): what was made is the last, and the connection ends.
//
// Simple queries hold any number of commands; an error ends the string. In the extended protocol a
// statement is one command without parameters, portals give their rows in text or binary and by
// pieces, and an error skips to the Sync. Transaction blocks are followed, for drivers look at the
// status, and mean nothing.
// Protocol 3.2, "Message Flow".
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/framer.h"
#include "protocol/frontend.h"
#include "proxy/ops/console_command.h"
#include "proxy/ops/console_table.h"

namespace pgsidecar::ops {

// What has become of a command: an error, or rows and a word.
struct console_answer {
    console_error error{};
    std::vector<std::string> notices{};
    console_table table{};  // with the columns that columns_of() says, or none
    std::string tag{};      // empty: the command's own
};

struct console_client {
    std::string user, database, application_name;
    console_role role = console_role::none;
    std::int32_t pid = 0;
    std::string cancel_key;
    std::string program;  // its name and version
};

class console_protocol {
  public:
    static constexpr std::size_t most_statements = 1000;        // prepared ones, and portals
    static constexpr std::uint32_t longest_message = 1U << 20;  // bytes

    explicit console_protocol(console_client client) : client_{std::move(client)} {}

    void greet(std::string& out);
    [[nodiscard]] std::size_t on_client(protocol::bytes in, std::string& out);
    // To be carried out, once: then answer().
    [[nodiscard]] std::optional<console_command> request() { return std::exchange(request_, {}); }
    void answer(console_answer&& a, std::string& out);

    [[nodiscard]] bool waiting() const noexcept { return waits_ != nullptr; }
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    [[nodiscard]] const console_client& client() const noexcept { return client_; }

  private:
    struct statement {
        std::shared_ptr<const console_command> command;  // null: an empty text
    };
    struct portal {
        std::shared_ptr<const console_command> command;
        std::vector<std::int16_t> formats;
        std::optional<console_answer> result;  // once it has run
        std::size_t given = 0;                 // of its rows
    };

    void handle(const protocol::frame& f, std::string& out);
    void handle_extended(const protocol::frame& f, std::string& out);

    void on_query(std::string_view sql, std::string& out);
    void run_simple(std::string& out);
    void end_simple(std::string& out);
    void give_simple(console_answer&& a, std::string& out);

    void on_parse(const protocol::parse_message& m, std::string& out);
    void on_bind(const protocol::bind& m, std::string& out);
    void on_describe(const protocol::describe& m, std::string& out);
    void on_execute(const protocol::execute& m, std::string& out);
    void on_close(const protocol::close& m, std::string& out);
    void give_rows(portal& p, std::string& out);
    void on_sync(std::string& out);

    [[nodiscard]] std::variant<console_command, console_error> admit(std::string_view sql) const;
    // The answer, or nothing: it is asked for.
    [[nodiscard]] std::optional<console_answer> run(
        const std::shared_ptr<const console_command>& command);
    [[nodiscard]] console_answer answer_here(const console_command& c);
    void write_error(const console_error& e, std::string& out);
    void fail(console_error e, std::string& out);  // of a message of the extended protocol
    void die(std::string_view message, std::string& out);
    void ready(std::string& out);

    console_client client_;
    char status_ = 'I';
    bool closed_ = false;
    bool skipping_ = false;  // to the next Sync
    bool simple_ = false;    // what waits is part of a simple query
    std::shared_ptr<const console_command> waits_;
    std::optional<console_command> request_;
    std::deque<std::string> rest_;  // of a simple query
    std::string executing_;         // the portal that waits
    std::int32_t row_limit_ = 0;
    std::map<std::string, statement, std::less<>> statements_;
    std::map<std::string, portal, std::less<>> portals_;
};

}  // namespace pgsidecar::ops
