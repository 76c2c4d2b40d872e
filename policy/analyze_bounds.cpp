// How deep and how large the parse tree of a text may get, from its tokens alone.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "policy/analyze_scan.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

enum class role : std::uint8_t {
    none,
    deepens,    // as an operator does
    joins,      // leans on all that came before it in its parentheses
    separates,  // AND, OR, THEN ...: what came before does not deepen what comes after
    clause,     // ... and an assignment ends here, too
    set,        // a clause whose first "(" may begin a row assignment
    opens,      // CASE
    closes,     // END
};

struct known_word {
    std::string_view word;
    role is;
};

// In order, for look-up by first letter.
constexpr std::array known_words{
    known_word{"and", role::separates},    known_word{"at", role::deepens},
    known_word{"between", role::deepens},  known_word{"case", role::opens},
    known_word{"collate", role::deepens},  known_word{"else", role::separates},
    known_word{"end", role::closes},       known_word{"except", role::joins},
    known_word{"from", role::clause},      known_word{"having", role::clause},
    known_word{"ilike", role::deepens},    known_word{"in", role::deepens},
    known_word{"intersect", role::joins},  known_word{"is", role::deepens},
    known_word{"isnull", role::deepens},   known_word{"join", role::joins},
    known_word{"like", role::deepens},     known_word{"not", role::deepens},
    known_word{"notnull", role::deepens},  known_word{"on", role::separates},
    known_word{"operator", role::deepens}, known_word{"or", role::separates},
    known_word{"returning", role::clause}, known_word{"select", role::clause},
    known_word{"set", role::set},          known_word{"similar", role::deepens},
    known_word{"then", role::separates},   known_word{"union", role::joins},
    known_word{"using", role::separates},  known_word{"values", role::separates},
    known_word{"when", role::separates},   known_word{"where", role::clause},
};
static_assert(std::is_sorted(known_words.begin(), known_words.end(),
                             [](const auto& a, const auto& b) { return a.word < b.word; }));

// first_of[l] .. first_of[l + 1]: the words that begin with the l-th letter.
constexpr std::array<std::uint8_t, 27> first_of = [] {
    std::array<std::uint8_t, 27> out{};
    for (std::size_t letter = 0; letter < out.size(); ++letter) {
        std::size_t i = 0;
        while (i < known_words.size() &&
               static_cast<std::size_t>(known_words[i].word[0] - 'a') < letter) {
            ++i;
        }
        out[letter] = static_cast<std::uint8_t>(i);
    }
    return out;
}();

role role_of(std::string_view word) noexcept {
    const char c = ascii_lower(word.front());
    if (c < 'a' || c > 'z') return role::none;
    const auto letter = static_cast<std::size_t>(c - 'a');
    for (std::size_t i = first_of[letter]; i < first_of[letter + 1]; ++i) {
        if (same_word(word, known_words[i].word)) return known_words[i].is;
    }
    return role::none;
}

constexpr std::size_t many = std::numeric_limits<std::size_t>::max() / 2;

std::size_t times(std::size_t a, std::size_t b) noexcept { return b > many / a ? many : a * b; }

class bounds_counter {
  public:
    bounds_counter() { levels_.push_back({}); }

    void take(const token& t) {
        const bool field = std::exchange(after_dot_, t.text == ".");
        const bool may_assign = std::exchange(may_assign_, t.text == ",");
        const bool distinct = std::exchange(after_distinct_, same_word(t.text, "distinct"));
        const auto closed = std::exchange(closed_columns_, 0);
        switch (t.kind) {
            case token_kind::operator_:
                if (closed > 1 && t.text == "=") assign(closed);
                deepen(weight(t.text));
                break;
            case token_kind::cast:
                deepen(1);
                break;
            case token_kind::punctuation:
                punctuation(t.text.front(), may_assign);
                break;
            case token_kind::word:
                if (!field && !(distinct && same_word(t.text, "from"))) {  // x.and is a column
                    word(role_of(t.text));
                }
                break;
            default:
                break;
        }
    }
    [[nodiscard]] tree_bounds result() const noexcept { return most_; }

  private:
    struct level {
        std::size_t chain = 0;  // operators in a row
        std::size_t joins = 0;
        std::size_t columns = 0;  // of a "(" that may begin a row assignment; 0 = it does not
        std::size_t around = 1;   // copies of what is inside this level
        std::size_t copies = 1;   // copies of what is being read in it
        bool is_case = false;
    };

    // "<-" or "=+-" may be several operators in one run: trailing signs are cut off by the lexer.
    static std::size_t weight(std::string_view run) noexcept {
        const auto last = run.find_last_not_of("+-");
        return last == std::string_view::npos ? run.size() : run.size() - last;
    }
    void grow(std::size_t by) noexcept {
        total_ += by;
        most_.nesting = std::max(most_.nesting, total_);
    }
    void deepen(std::size_t by) noexcept {
        levels_.back().chain += by;
        grow(by);
    }
    void restart() noexcept {
        total_ -= levels_.back().chain;
        levels_.back().chain = 0;
    }
    void end_assignment() noexcept { levels_.back().copies = levels_.back().around; }
    void assign(std::size_t columns) noexcept {
        levels_.back().copies = times(levels_.back().around, columns);
        most_.copies = std::max(most_.copies, levels_.back().copies);
    }
    void open(bool is_case, bool may_assign) {
        const auto copies = levels_.back().copies;
        level inner{1, 0, may_assign ? std::size_t{1} : 0, copies, copies, is_case};
        levels_.push_back(inner);
        grow(1);
    }
    void pop() noexcept {
        total_ -= levels_.back().chain + levels_.back().joins;
        levels_.pop_back();
    }
    void close() noexcept {
        while (levels_.size() > 1 && levels_.back().is_case) pop();
        if (levels_.size() == 1) return;
        closed_columns_ = levels_.back().columns;
        pop();
    }
    void punctuation(char c, bool may_assign) {
        switch (c) {
            case '(':
            case '[':
                open(false, c == '(' && may_assign);
                break;
            case ')':
            case ']':
                close();
                break;
            case ',':
                restart();
                end_assignment();
                if (levels_.back().columns > 0) ++levels_.back().columns;
                break;
            case ';':
                levels_.assign(1, {});
                total_ = 0;
                break;
            default:
                break;
        }
    }
    void word(role is) {
        switch (is) {
            case role::none:
                break;
            case role::deepens:
                deepen(1);
                break;
            case role::joins:
                restart();
                ++levels_.back().joins;
                grow(1);
                break;
            case role::set:
                may_assign_ = true;
                [[fallthrough]];
            case role::clause:
                end_assignment();
                [[fallthrough]];
            case role::separates:
                restart();
                break;
            case role::opens:
                open(true, false);
                break;
            case role::closes:
                if (levels_.back().is_case) pop();
                break;
        }
    }

    std::vector<level> levels_;
    std::size_t total_ = 0;
    tree_bounds most_;
    std::size_t closed_columns_ = 0;  // of the parenthesis that has just closed
    bool after_dot_ = false;
    bool after_distinct_ = false;  // IS DISTINCT FROM is no clause
    bool may_assign_ = false;
};

}  // namespace

tree_bounds bounds_of(std::string_view sql) {
    bounds_counter counter;
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) counter.take(t);
    return counter.result();
}

}  // namespace pgsidecar::policy
