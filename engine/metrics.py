"""Prometheus metrics of the engine, in a registry of its own per process root."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from engine.talk_metrics import TalkMetrics

_TURN_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_NODE_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 20)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.messages = Counter(
            "kefu_messages_total",
            "Customer messages received",
            ["channel", "duplicate"],
            registry=self.registry,
        )
        self.turns = Counter(
            "kefu_turns_total", "Turns committed", ["action", "reason"], registry=self.registry
        )
        self.turn_failures = Counter(
            "kefu_turn_failures_total", "Runs of the graph that failed", registry=self.registry
        )
        self.turn_seconds = Histogram(
            "kefu_turn_seconds",
            "From claim to commit",
            buckets=_TURN_BUCKETS,
            registry=self.registry,
        )
        self.node_seconds = Histogram(
            "kefu_node_seconds",
            "Time inside one node",
            ["node"],
            buckets=_NODE_BUCKETS,
            registry=self.registry,
        )
        self.confidence = Histogram(
            "kefu_answer_confidence",
            "Confidence of decisions",
            buckets=(0.1, 0.25, 0.4, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0),
            registry=self.registry,
        )
        self.deliveries = Counter(
            "kefu_deliveries_total",
            "Deliveries by outcome",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self.tasks_received = Counter(
            "kefu_tasks_received_total", "Tasks received", ["trigger"], registry=self.registry
        )
        self.tasks = Gauge("kefu_tasks", "Tasks by status", ["status"], registry=self.registry)
        self.timer_lag = Histogram(
            "kefu_timer_lag_seconds",
            "From the time of a time_reach task to its firing",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 300, 3600),
            registry=self.registry,
        )
        self.model_calls = Counter(
            "kefu_model_calls_total",
            "Model calls by outcome",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self.model_tokens = Counter(
            "kefu_model_tokens_total",
            "Tokens used",
            ["provider", "direction"],
            registry=self.registry,
        )
        self.model_cost = Counter(
            "kefu_model_cost_total",
            "Cost of model calls, in the price table's currency",
            ["provider", "currency"],
            registry=self.registry,
        )
        self.deadline_misses = Counter(
            "kefu_deadline_misses_total",
            "Callers whose answer was not ready in time",
            ["channel"],
            registry=self.registry,
        )
        self.backlog = Gauge(
            "kefu_backlog", "Rows waiting, by kind", ["kind"], registry=self.registry
        )
        self.active_turns = Gauge(
            "kefu_active_turns", "Turns running in this process", registry=self.registry
        )
        self.talk = TalkMetrics(self.registry)
        self._add_knowledge()
        self._add_prices()
        self._add_orders()
        self._add_rules()
        self._add_caches()
        self.campaign_people = Counter(
            "kefu_campaign_people_total",
            "Customers of campaigns: sent, or why nothing was sent to them",
            ["outcome"],
            registry=self.registry,
        )

    def _add_caches(self) -> None:
        self.trace_spans = Counter(
            "kefu_trace_spans_total",
            "Spans on their way to where traces go, by outcome: sent, failed, dropped (it is away)",
            ["target", "outcome"],
            registry=self.registry,
        )
        self.cache_requests = Counter(
            "kefu_cache_requests_total",
            "Looks into a cache, by level (l1: this process, l2: Redis) and outcome: hit, miss,"
            " stale (kept under another version), refused, failed, skipped",
            ["cache", "level", "outcome"],
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            "kefu_cache_bytes",
            "Bytes that a cache takes in this process, about",
            ["cache"],
            registry=self.registry,
        )

    def _add_rules(self) -> None:
        self.rules_fired = Counter(
            "kefu_rules_fired_total",
            "Rules that acted in a committed turn: words (an entry decided) or trigger",
            ["kind", "rule"],
            registry=self.registry,
        )
        self.rule_act_failures = Counter(
            "kefu_rule_act_failures_total",
            "Tools that a rule called and that failed",
            ["rule", "tool"],
            registry=self.registry,
        )
        self.rules_loads = Counter(
            "kefu_rules_loads_total",
            "New versions of the rules, by outcome: used or refused",
            ["outcome"],
            registry=self.registry,
        )
        self.rules_refused = Gauge(
            "kefu_rules_refused",
            "1 while the rules file or the newest version cannot be used and an older one is",
            registry=self.registry,
        )
        self.rules_version = Gauge(
            "kefu_rules_version", "Version of the rules in use here", registry=self.registry
        )

    def _add_orders(self) -> None:
        self.orders = Counter(
            "kefu_orders_worked_total",
            "Work on picture orders by what became of it: delivered, designer, expired (its quote),"
            " outdated (the order was changed meanwhile)",
            ["workflow", "outcome"],
            registry=self.registry,
        )
        self.order_seconds = Histogram(
            "kefu_order_work_seconds",
            "Automatic work on one order, until it was delivered or went to a designer",
            ["workflow"],
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 240, 600),
            registry=self.registry,
        )

    def _add_prices(self) -> None:
        self.price_book_loads = Counter(
            "kefu_price_book_loads_total",
            "Changed price book files, by outcome: used or refused",
            ["outcome"],
            registry=self.registry,
        )
        self.price_book_refused = Gauge(
            "kefu_price_book_refused",
            "1 while the price book file cannot be used and an older one is in use",
            registry=self.registry,
        )

    def _add_knowledge(self) -> None:
        self.search_seconds = Histogram(
            "kefu_search_seconds",
            "One search of the knowledge base",
            buckets=_NODE_BUCKETS,
            registry=self.registry,
        )
        self.knowledge_failures = Counter(
            "kefu_knowledge_failures_total",
            "Failures of knowledge, by what was tried: search, warm, or a step of its upkeep",
            ["part"],
            registry=self.registry,
        )
        self.rerank_seconds = Histogram(
            "kefu_rerank_seconds",
            "Calls of the re-ranking model, by outcome: ok, timeout or failed",
            ["outcome"],
            buckets=_NODE_BUCKETS,
            registry=self.registry,
        )
        self.unknown_questions = Counter(
            "kefu_unknown_questions_total",
            "Questions handed over for lack of knowledge",
            registry=self.registry,
        )
        self.question_clusters = Gauge(
            "kefu_question_clusters",
            "Clusters of unknown questions, by state",
            ["state"],
            registry=self.registry,
        )
        self.suggestions = Gauge(
            "kefu_suggestions", "Suggested entries, by state", ["state"], registry=self.registry
        )
        self.index_lag = Gauge(
            "kefu_index_revision_lag",
            "Revisions of the knowledge base that searches do not see yet",
            registry=self.registry,
        )
        self.index_entries = Gauge(
            "kefu_index_entries", "Entries that searches see", registry=self.registry
        )
