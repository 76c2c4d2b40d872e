// A client of the simulation: sends random requests, one at a time or pipelined, and checks each
// reply against what it knows. See simulation.h for what is checked.
#pragma once
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/simulation.h"

namespace core_test {

class simulated_client {
  public:
    explicit simulated_client(simulation& world) : world_{world} {}
    void connect();
    void receive(std::string_view bytes);
    void lost();  // the connection ended
    [[nodiscard]] bool waits() const { return !expected_.empty(); }

  private:
    // One statement under way; the last of its batch is followed by ReadyForQuery.
    struct request {
        statement what;
        bool extended = false;
        bool parses = false;
        bool described = false;
        bool last = true;
        std::string statement_name{};                 // that it prepares or uses
        std::map<std::string, std::size_t> floors{};  // row -> oldest place that may be read
        std::size_t cancels_before = 0;
        std::size_t own_cancels_before = 0;  // of the session
        std::string rest{};  // types of frames still to come; '*' = any number of rows
        std::size_t rows = 0;
        bool page_cut = false;
        bool failed = false;
    };
    void act();
    void act_later() {
        world_.after(world_.luck().one_in(4) ? 300 : 20, [this, epoch = epoch_] {
            if (epoch == epoch_) act();
        });
    }
    [[nodiscard]] statement choose(bool in_block);
    void add_simple(std::string& out, const statement& s);
    void add_extended(std::string& out, const statement& s, bool last);
    void add_any(std::string& out, const statement& s);
    void add_lone_read(std::string& out);
    void add_block(std::string& out);
    void add_control(std::string& out);
    // simulated_client_pooled.cpp
    void connect_pooled();
    [[nodiscard]] statement choose_pooled(bool in_block);
    [[nodiscard]] statement choose_held();
    void add_pooled(std::string& out);
    void add_of_prepared(std::string& out);
    void read_by_prepared(std::string& out, bool parses);
    [[nodiscard]] bool is_of_pool(const protocol::error_response& m, const request& r) const;
    [[nodiscard]] bool is_of_names(std::string_view code, const request& r) const;
    void check_told();
    void check_types(std::string_view body);
    void note_names(const statement& s);
    [[nodiscard]] bool holds() const;
    [[nodiscard]] bool follows_tenant() const;
    void expect(request r);
    void cause_trouble();
    void forget();

    void on_frame(char type, std::string_view body);
    void on_refused_login(std::string_view body);
    void note_step(const request& r, char type, std::string_view body);
    void on_ready(char status);
    void on_error(std::string_view body);
    void on_notice(std::string_view body);
    void on_fatal(const protocol::error_response& m);
    [[nodiscard]] bool is_of_limit(const protocol::error_response& m, const request& r) const;
    void refused(const request& r, std::string_view detail);
    void add_values(const statement& s);
    void forget_values(const std::map<std::string, long>& committed);
    void commit();
    void check_rows(const request& r);
    void on_row(request& r, std::string_view body);
    void on_complete(request& r);
    void check_value(request& r, const std::string& row, long value);

    simulation& world_;
    simulation::connection* connection_ = nullptr;
    std::string in_;
    std::deque<request> expected_;
    transaction_model transaction_;
    std::vector<long> open_values_;            // written in the open transaction, or not any more
    std::map<std::string, std::size_t> seen_;  // row -> newest place this session has read
    bool logged_in_ = false, cancelling_ = false;
    // "s" reads kv by its parameter; "p", made by SQL, reads its first row.
    std::set<std::string, std::less<>> names_;
    bool unnamed_ = false;  // so does the unnamed statement
    // A block that has begun, and nothing in it has been answered: what kept it from beginning is
    // told to its first statement.
    bool fresh_block_ = false;
    std::size_t cancels_before_block_ = 0;
    bool leaving_ = false;  // as soon as the request under way has ended
    bool was_tainted_ = false;
    bool tainted_ = false;            // has run what nobody can follow
    std::uint32_t type_ = 0;          // of the parameter of "s"
    transaction_model::values told_;  // ParameterStatus
    std::size_t cancels_ = 0;
    std::size_t epoch_ = 0;  // of the connection: late events know that they are
};

}  // namespace core_test
