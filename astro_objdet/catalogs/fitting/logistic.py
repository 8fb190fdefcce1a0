"""Logistic regression by Firth's penalised likelihood, with its covariance."""

import numpy as np
from scipy.special import expit

from astro_objdet.errors import InputError

__all__ = ["fit_logistic", "predict_logistic"]

_STEPS = 100
_LONGEST = 3.0
#: Above this condition number two columns of a design say the same.
_SINGULAR = 1e12


def fit_logistic(design, outcome):
    """Coefficients of log odds = design @ coefficients.

    The likelihood is penalised by Jeffreys' prior (Firth 1993, Biometrika 80, 27), which
    takes out its first-order bias, and which keeps the coefficients finite where all
    outcomes are the same or the columns tell them apart (Heinze & Schemper 2002,
    Statistics in Medicine 21, 2409).

    Parameters
    ----------
    design : `~numpy.ndarray` of float64, shape (N, P)
        With a column of ones; the others best of mean 0 and width 1.
    outcome : `~numpy.ndarray` of bool, shape (N,)

    Returns
    -------
    coefficients : `~numpy.ndarray` of float64, shape (P,)
    covariance : `~numpy.ndarray` of float64, shape (P, P)
        Inverse of the Fisher information at the coefficients.

    Raises
    ------
    InputError
        When columns of the design depend on each other.
    """
    if np.linalg.cond(design.T @ design) > _SINGULAR:
        raise InputError(
            "the properties have too few different values, or depend on each other too much, "
            f"for {design.shape[1]} coefficients; a lower degree has fewer"
        )
    beta = np.zeros(design.shape[1])
    state = _state(design, outcome, beta)
    for _ in range(_STEPS):
        likelihood, probability, covariance = state
        weight = probability * (1 - probability)
        leverage = weight * ((design @ covariance) * design).sum(axis=1)
        score = design.T @ (outcome - probability + leverage * (0.5 - probability))
        step = covariance @ score
        step *= min(1.0, _LONGEST / np.abs(step).max(initial=1e-300))
        state = _state(design, outcome, beta + step)
        while state[0] < likelihood and np.abs(step).max() > 1e-9:
            step /= 2
            state = _state(design, outcome, beta + step)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta, state[2]


def _state(design, outcome, beta):
    """Penalised log likelihood, probabilities, and inverse information at ``beta``."""
    eta = design @ beta
    probability = expit(eta)
    weight = probability * (1 - probability)
    information = design.T @ (weight[:, None] * design)
    sign, logdet = np.linalg.slogdet(information)
    if sign <= 0:
        return -np.inf, probability, np.full_like(information, np.nan)
    likelihood = np.sum(outcome * eta - np.logaddexp(0, eta)) + logdet / 2
    return likelihood, probability, np.linalg.inv(information)


def predict_logistic(design, coefficients, covariance, z):
    """Probability, and the ends of its interval of ``z`` standard errors in the log odds.

    Parameters
    ----------
    design : `~numpy.ndarray` of float64, shape (..., P)
    coefficients : `~numpy.ndarray` of float64, shape (P,)
    covariance : `~numpy.ndarray` of float64, shape (P, P)
    z : float

    Returns
    -------
    value, low, high : `~numpy.ndarray` of float64, shape (...)
    """
    eta = design @ coefficients
    error = z * np.sqrt(((design @ covariance) * design).sum(axis=-1))
    return expit(eta), expit(eta - error), expit(eta + error)
