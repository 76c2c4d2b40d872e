// A small database in memory that speaks the server's side of the protocol, for the simulation:
// rows of kv by id, one row of notes per tenant (visible by app.tenant_id alone), READ COMMITTED,
// savepoints, prepared statements. Every value written is unique, so a value read tells which
// commit it came from. A commit is visible from the step that processes it, whenever its reply
// arrives.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace core_test {

// What the simulation can say in SQL.
struct statement {
    enum class kind {
        select_kv,
        select_notes,
        select_all,  // of kv
        update_kv,
        update_notes,
        update_all,  // of kv, each row to value + id; returns them
        begin,
        commit,
        rollback,
        savepoint,
        rollback_to,
        release,
        set_tenant,
        set_tenant_local,
        reset_tenant,
        discard_all,
        divide_by_zero,
        alter
    };
    kind what = kind::select_kv;
    int id = 0;          // of a row
    long value = 0;      // of an update
    std::string name{};  // of a tenant or a savepoint

    [[nodiscard]] bool reads() const {
        return what == kind::select_kv || what == kind::select_notes || what == kind::select_all;
    }
    [[nodiscard]] bool writes() const {
        return what == kind::update_kv || what == kind::update_notes || what == kind::update_all;
    }
    [[nodiscard]] bool returns_rows() const { return reads() || what == kind::update_all; }
    // Does it cost its tenant a token?
    [[nodiscard]] bool counts() const {
        return reads() || writes() || what == kind::divide_by_zero || what == kind::alter;
    }
    // May it run in a block that has failed?
    [[nodiscard]] bool leaves_failure() const {
        return what == kind::commit || what == kind::rollback || what == kind::rollback_to;
    }
    // Parameters are $1, $2 when `values` is given.
    [[nodiscard]] std::string sql(std::vector<std::string>* values = nullptr) const;
    [[nodiscard]] static std::optional<statement> read(std::string text,
                                                       const std::vector<std::string>& values);
};

// Every committed value of each row, oldest first. Shared by all backends.
class model_database {
  public:
    struct place {
        std::string row;
        std::size_t at = 0;
    };
    model_database();
    [[nodiscard]] long newest(const std::string& row) const { return history_.at(row).back(); }
    [[nodiscard]] const place* find(long value) const;  // null: never committed
    void commit(const std::map<std::string, long>& writes);

    static constexpr int rows = 2;
    static constexpr std::string_view tenants[] = {"a", "b", "c"};

  private:
    std::map<std::string, std::vector<long>> history_;
    std::unordered_map<long, place> where_;
};

// A transaction and the tenant setting in it; for a backend, and for what a client expects.
class transaction_model {
  public:
    [[nodiscard]] char status() const { return failed_ ? 'E' : open_ ? 'T' : 'I'; }
    [[nodiscard]] bool implicit() const { return open_ && implicit_; }
    [[nodiscard]] const std::string& tenant() const { return now_.tenant; }
    [[nodiscard]] std::optional<long> written(const std::string& row) const;
    [[nodiscard]] bool has_savepoint() const { return !savepoints_.empty(); }
    [[nodiscard]] static std::string row_of(const statement& s, const std::string& tenant);

    void begin(bool implicit);
    [[nodiscard]] std::map<std::string, long> commit();  // what it wrote
    void rollback();
    void fail();                     // an error: a block fails, an implicit transaction is gone
    void apply(const statement& s);  // anything but begin, commit, rollback

  private:
    struct state {
        std::map<std::string, long> writes;
        std::string tenant;        // in effect
        std::string after_commit;  // what SET LOCAL hides
    };
    struct savepoint {
        std::string name;
        state before;
    };
    state now_, at_begin_;
    std::vector<savepoint> savepoints_;
    bool open_ = false, implicit_ = false, failed_ = false;
};

class backend {
  public:
    explicit backend(model_database& db) : db_{&db} {}
    void receive(std::string_view bytes) { in_.append(bytes); }
    [[nodiscard]] bool has_work() const;  // a whole message is there, or an answer's end is due
    [[nodiscard]] std::string step();     // processes one, returns what it answers
    // Whatever it is at now fails; nothing happens to one that waits.
    void cancel() {
        if (busy_ || has_work()) cancelled_ = true;
    }
    // Waits for a request, outside of any transaction, or for nothing any more.
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] const std::string& tenant() const { return transaction_.tenant(); }
    void end();  // the connection is gone: whatever is open is rolled back
    [[nodiscard]] bool ended() const { return ended_; }

  private:
    struct prepared {
        std::string sql;
    };
    [[nodiscard]] std::string simple(const std::string& sql);
    [[nodiscard]] std::string extended(char type, std::string_view body);
    [[nodiscard]] std::string next();
    // Rows (at most so many; 0: all) and tag, or an error.
    [[nodiscard]] std::string run(const statement& s, bool describe, std::int32_t most);
    [[nodiscard]] std::string begin_rows(const statement& s, bool describe, std::int32_t most);
    [[nodiscard]] std::string finish();
    [[nodiscard]] std::string end_query();
    [[nodiscard]] std::string error(std::string_view sqlstate);

    model_database* db_;
    transaction_model transaction_;
    std::map<std::string, prepared, std::less<>> prepared_;
    std::optional<statement> portal_;
    std::optional<statement> sending_;  // its rows are sent, its end is not
    bool by_query_ = false, suspends_ = false;
    std::string in_;
    bool started_ = false, skipping_ = false, refused_ = false, cancelled_ = false, busy_ = false;
    bool ended_ = false;
};

}  // namespace core_test
