"""hermesd: a distributed job-processing daemon.

The life of one job (the numbers are the order, the names are files):

    client ─POST /jobs─► 1 api/submit ─► 2 stores/ (committed) ─► 3 api/route ─► 4 api/dispatch
                                                                      │ nobody can take it   │
                                                                      ▼                    push
                                                              4b queues/ ─ api/feed ─────────┤
                                                                      │ a broker             │
                                                                      └─ 4c worker/pull      │
                                                                               ▼             ▼
    8 api/record (committed) ◄─gRPC─ 7 worker/report ◄─ 6 worker/execute ◄─ 5 worker/receive

Around it: api/intake stores what was submitted one by one together, api/reap gives back what silent
and dead workers held, api/timers releases what is due, api/scheduler submits the jobs of schedules,
api/retain deletes what ended long ago, api/invariants counts what must never happen, api/lookout
keeps what the dashboard shows. worker/link registers and heartbeats, and api/control answers
(api/enrolment, api/pulse). With a broker: api/declare keeps its queues, worker/claim asks for what
was pulled and api/claims answers, api/takeback and api/returns take back what was lost or given up,
worker/degraded runs jobs while no api answers, and api/pulled records their outcomes. Operators'
orders: api/ordering pauses, resumes and drains workers, worker/orders obeys, and api/queuebook
knows which queues are paused. With several apis: api/telling and api/hearing make each quick in
what others know, api/adopter looks after the jobs of dead ones. After a SIGHUP (daemon/reload)
api/follow and worker/follow do what the new configuration asks for; all else reads it at each use
(config/live).

The layers; imports run strictly downward, and a test says so:

    cli, client   the commands (thin), and the Python client that they use
    bench         what `hermesd bench` sends and measures, over the client
    daemon        the composition root: opens resources, runs the role or roles
    api | worker  the two roles; they know neither each other nor any adapter
    stores, queues, bridge, http, observe, wire
                  adapters: SQLite and PostgreSQL, the waiting jobs, gRPC and AMQP (in the bridge,
                  the only place where asyncio runs), the HTTP server, logs and metrics, messages
                  to structs
    handlers      the contract that plugin authors code against, and the loader
    config, systemd, clock, cron, signal, resting, ports
                  what everyone is handed; ports/ says what the roles need of adapters
    core          pure: jobs, states, outcomes, routing, registry, backoff, schedules, errors
    testing       for authors and our own tests: fakes and the conformance suites they pass
"""

__version__ = "0.1.0"
