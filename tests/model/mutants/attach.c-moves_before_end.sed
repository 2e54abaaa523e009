# Unread records are moved as soon as the agent says that it ends, while it still drains.
s@^  if \(producer->state == HANDOFF_ATTACHED \|\| producer->state == HANDOFF_LEAVING\) probe@  if (producer->state == HANDOFF_LEAVING) handoff_detach(producer);\n&@
