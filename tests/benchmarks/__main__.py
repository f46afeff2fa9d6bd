"""All benchmarks that need no data: `make bench` prints the table."""

from __future__ import annotations

from tests.benchmarks import startup


def main() -> None:
    print("startup (process start to a painted window that answers a click)")
    for key, value in startup.measure().items():
        print(f"  {key:16} {value}")


if __name__ == "__main__":
    main()
