"""Plots, leaderboard and one self-contained HTML page a study; knows neither Ray nor MLflow."""

from raysearch.report.canvas import load_plots as load_plots
from raysearch.report.material import ReportMaterial as ReportMaterial
from raysearch.report.page import write_report as write_report
from raysearch.report.plots_pareto import write_front as write_front
from raysearch.report.scales import ranked as ranked
from raysearch.report.tables import write_leaderboard as write_leaderboard
