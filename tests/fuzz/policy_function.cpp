// The body of a function in PL/pgSQL, and the same text as one in SQL: effects, or not understood.
#include "policy/function_body.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace pgsidecar::policy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    const std::string body{reinterpret_cast<const char*>(data), size};
    for (const auto& effects :
         {analyze_function("sql", body),
          analyze_function("plpgsql",
                           "CREATE FUNCTION f(a int) RETURNS trigger LANGUAGE plpgsql "
                           "AS $function$" +
                               body + "$function$")}) {
        if (!effects.understood && (!effects.writes.empty() || !effects.reads.empty()))
            std::abort();
    }
    return 0;
}
