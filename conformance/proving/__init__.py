"""Proving the suite: faulty implementations beside each other on one cluster, and what their stories' claims say.

    choosing    which faults, and which stories under each
    scopes      one cluster, and an implementation in each of several scopes of it
    telling     the stories of one scope, judged
    cells       what one claim says under one fault
    keeping     the cells of a results folder, appended as they come
    matrix      all cells together, and what is red about them
    page        the matrix for people

No pytest here: `kueue-lws-conformance prove` tells the same stories as a run, and judges them with the same claims.
"""
