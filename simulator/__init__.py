"""An artificial ENT clinic that writes vendors' exports and the truth behind them."""

from simulator.run import SimulationSummary, simulate

__all__ = ["SimulationSummary", "simulate"]
