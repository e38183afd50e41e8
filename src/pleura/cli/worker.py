"""`pleura worker`: judge what was received, and deliver the results."""

from pleura.cli.service_options import SettingsFile, opened


def worker(settings: SettingsFile = None) -> None:
    """Judge what was received, and deliver the results, until SIGTERM or Ctrl-C.

    Starts the processes that judge, each with its own model, one that delivers, and one that keeps
    house: it removes what need not be kept, and watches how the service does. One that dies or
    hangs is replaced. Exit status: 0 stopped; 2 settings, model or database cannot be used.
    """
    from pleura.service.supervisor import start_supervised

    service = opened(settings)  # what is wrong is said here, and not by each process
    service.close()
    start_supervised(service.settings)
