"""What other services build on: topics, events, refusal codes, the check report and the gate. Grows by addition only."""
