import sys
sys.path.insert(0,'benchmarks')
from trial import *
import titan_state.core.durations as D
old=D.Sample.curve
def curve(self,typical,pool=None):
    was=self._curve
    c=old(self,typical,pool)
    if was is not c and c.shape!=1.0 and self.ended>50:
        n=self.ended
        print(c,"ended",n,"logs/n",self.logs/n,[round(e/n,4) for e in self.exposure], pool and pool.ended)
    return c
D.Sample.curve=curve
w=World(10000,[("t",1.0,exponential())],seed=0)
Ours(w).run(600,1500)
