// Follows what the triggers of `pgsidecar migrate up --notify` say (deploy/sql/notify-up.sql has
// the form): each message of channel pgsidecar_invalidation moves versions on. Pure.
//
// A message is delivered when snapshots show its transaction as over, so nothing has to be held
// back: a fill that read the old row began before, and the version it observed is gone by then.
#pragma once
#include <string_view>

#include "proxy/core/databases.h"

namespace pgsidecar::core {

class notice_follower {
  public:
    static constexpr std::string_view channel = "pgsidecar_invalidation";

    explicit notice_follower(database& where) : where_{where} {}
    // What is not understood may mean anything: everything of the database is outdated.
    void on_message(std::string_view json);

  private:
    void written(std::string_view schema, std::string_view table);
    void definition_changed();

    database& where_;
};

}  // namespace pgsidecar::core
