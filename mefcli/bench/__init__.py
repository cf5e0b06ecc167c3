"""`mef bench`: what fusion costs on this machine, in whole processes, beside other programs."""
