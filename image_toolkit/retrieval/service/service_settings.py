"""How to query a clip-retrieval service."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServiceSettings:
    """Options and limits of the queries to a service.

    Args:
        use_safety_model, use_violence_detector: Ask the service to leave out such images.
        timeout: Seconds for a whole request, from the connection to the last byte.
        retries: Further attempts of a request that may yet succeed.
        queries_per_second: Limit on requests started per second; 0 for no limit.
        concurrency: Limit on requests in flight.
        credentials: `user:password` or a token; None if the service needs none.
    """

    use_safety_model: bool = True
    use_violence_detector: bool = True
    timeout: float = 30.0
    retries: int = 3
    queries_per_second: float = 5.0
    concurrency: int = 4
    credentials: str | None = field(default=None, repr=False)
