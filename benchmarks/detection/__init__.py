"""How soon a change is noticed, in virtual time: a simulated service, clients that watch it, and the bound."""
