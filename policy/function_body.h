// What a function or procedure of the user's may do, read from its source, so that a call of it
// need not count as able to do anything. Pure; the caller brings the text from the catalog and
// recurses into the functions that are called in turn.
#pragma once
#include <string_view>
#include <vector>

#include "policy/facts.h"

namespace pgsidecar::policy {

struct function_effects {
    bool understood = false;  // false: nothing below says anything; treat as able to do anything
    std::vector<qualified_name> reads;
    std::vector<qualified_name> writes;
    std::vector<function_call> functions;
    std::vector<setting_change> settings;  // that it may make; whether it does depends on its run
    bool dynamic_sql = false;              // runs text that it puts together
    // All statements of the body as if they were one, for judging a read that calls it: lists are
    // joined, flags or-ed; a SELECT as long as all of them are.
    statement_facts text;
    bool beyond_settings = false;  // opaque for more than SET, RESET and set_config()
    bool opaque = false;  // SET, set_config(), transaction control, DDL, LISTEN, PREPARE ...
};

// Language "sql": text is pg_proc.prosrc, or pg_get_function_sqlbody() where that is not null.
// Language "plpgsql": text is pg_get_functiondef(). Any other language is not understood.
// Names in the text resolve through the search_path in force when the function runs.
[[nodiscard]] function_effects analyze_function(std::string_view language, std::string_view text);

}  // namespace pgsidecar::policy
