"""How a clip-retrieval service is asked."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServiceSettings:
    """What is asked of a service, and how patiently.

    Args:
        use_safety_model, use_violence_detector: Have the service leave out such images.
        timeout: Seconds for one request in all, from the connection to the last byte.
        retries: How often a request that may yet succeed is tried again.
        queries_per_second: The most requests begun in a second; 0 for no limit.
        concurrency: The most requests under way.
        credentials: `user:password`, or a token, to sign in with; None for a service that asks for
            none.
    """

    use_safety_model: bool = True
    use_violence_detector: bool = True
    timeout: float = 30.0
    retries: int = 3
    queries_per_second: float = 5.0
    concurrency: int = 4
    credentials: str | None = field(default=None, repr=False)
