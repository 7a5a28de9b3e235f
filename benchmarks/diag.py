import sys
sys.path.insert(0,'benchmarks')
from trial import *
n=int(sys.argv[1]); dur={"e":exponential,"n":narrow,"h":heavy}[sys.argv[2]]()
w=World(n,[("t",1.0,dur)],seed=0)
c=Ours(w)
oldchoose=c.choose
state={"next":0}
reads={}
from collections import Counter
kinds=Counter()
def choose(now):
    r=oldchoose(now)
    if r:
        t=max((x for x in c._flying),key=lambda x:x[1])[2]
        kinds["page" if isinstance(t,ListPage) else "single"]+=1
        if isinstance(t,ListPage): reads.setdefault(t.page,[]).append(now)
    if now>=state["next"]:
        state["next"]=now+50
        l=c.planner._listings[None]; a=c.planner._agenda
        print(round(now),"price",round(a.price(1.95),2),"corr",round(a._correction,3),"demand",round(a._demand,3),"blocks",len(l.members),"entries",len(a),"sweep",l.sweep,"yields",round(l.yields,2),c.tracker.outlook.durations.curve("t","running"),dict(kinds), "behind", round(now-a.first_due(),1), "alone",a.alone)
    return r
c.choose=choose
c.run(600,1500)
for p in sorted(reads)[::max(1,len(reads)//20)]:
    ts=reads[p]; print(p,[round(b-a) for a,b in zip(ts,ts[1:])])
