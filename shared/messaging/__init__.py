"""Events in and out: consumers, inbox, outbox, relay, timers, parked requests, dead letters."""
