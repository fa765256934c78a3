"""Sentences of everyday life: composed ones to calibrate with, written ones to be judged by.

Documentation and licenses do not speak of meals, weather or pets. The two halves share no
sentence: one is drawn from a small grammar, the other was written by hand.
"""

import random

_PEOPLE = """my sister; a young man; the old woman; our neighbor; the teacher; a group of kids;
two tourists; the nurse; her cousin; an engineer; the farmer; a famous singer; the children;
my boss; a police officer; the waiter; someone; the pilot; his wife; a student; the goalkeeper;
a scientist; the mayor; a lawyer; the whole family; a tall girl; the bank; the company; the dog"""
_DEEDS = """bought fresh bread; painted the fence; missed the last train; played the guitar;
fixed a broken bicycle; watched a movie; planted tomatoes; called a taxi; lost a wallet;
cooked noodles; told a funny story; won the election; broke an arm; paid the bill;
fed the horses; wrote a long letter; took a photo of the bridge; cleaned the windows;
ran ten miles; sold an old car; drank a glass of milk; learned a new language;
visited a museum; slept on the couch; danced all night; opened a small shop; caught a big fish;
scored a goal; signed the contract; booked a flight; read the newspaper; built a sand castle;
washed the dishes; argued about money; solved the puzzle; climbed a hill; carried heavy boxes;
raised the prices; felt sick; found a kitten; waited for the results; changed the password;
turned off the lights; burned the toast; asked for directions; adopted a puppy"""
_CIRCUMSTANCES = """in the kitchen; yesterday evening; during the storm; at the beach;
before breakfast; near the station; because of the cold weather; after work; with some friends;
in a small village; for the first time; on a sunny morning; while it was snowing;
at the hospital; without any help; last summer; in front of the church; by accident;
on the radio; to save money; for a birthday party; in the middle of the night"""
_FRAMES = """{who} {did} {how}.; {how}, {who} {did}.; {who} {did}, and {other} {also}.;
Nobody knows why {who} {did} {how}.; The news reported that {who} {did} {how}.;
Is it true that {who} {did} {how}?; {who} {did} {how}, so {other} {also}."""

# A sentence; one that means the same; one on the same subject that says something else.
_WRITTEN = """
A man is eating a plate of rice. | Somebody has a bowl of rice for lunch. | The price of rice doubled in a year.
The cat is asleep on the sofa. | A kitten naps on the couch. | Cats hunt mostly at dawn and dusk.
It has been raining since Monday. | The rain has not stopped all week. | Pack an umbrella for the weekend.
She plays the violin in an orchestra. | She is a violinist. | He repairs violins and cellos for a living.
The train to Berlin leaves at nine. | The Berlin train departs at 9 o'clock. | Trains are often late in winter.
He forgot his keys at the office. | His keys are still at work. | A locksmith opened the door in five minutes.
The company reported record profits. | Earnings of the firm reached an all-time high. | Hundreds of workers lost their jobs.
Two boys are playing football in the park. | A pair of kids kick a ball around outdoors. | The football club hired a new coach.
How do I reset my password? | I cannot log in and need a new password. | Choose a password with at least twelve characters.
The doctor told him to quit smoking. | His physician advised him to give up cigarettes. | Smoking is banned in restaurants.
Our flight was cancelled because of fog. | Fog meant that our plane could not take off. | The airport has three runways.
The soup needs more salt. | This broth is rather bland. | Salt was once as valuable as gold.
A woman is riding a horse along the shore. | A lady gallops down the beach. | The horse won three races this season.
The baby started to cry. | The infant burst into tears. | The couple is expecting their first child.
They got married in a small chapel. | Their wedding took place in a little church. | Weddings can cost a fortune.
The river flooded the town. | The town was under water after the river rose. | Children learn to swim in the river.
My phone's battery dies within hours. | My mobile runs out of power quickly. | Lithium is mined in the desert.
The museum is closed on Tuesdays. | You cannot visit the museum on a Tuesday. | The painting was stolen from a museum.
Scientists discovered a new species of frog. | An unknown kind of frog was found by researchers. | Frogs lay their eggs in ponds.
Prices of houses keep rising. | Homes are becoming more expensive. | The house has a red roof and a garden.
The dog chased the postman down the street. | A postman ran from a dog. | The letter arrived two days late.
I would like a cup of coffee, please. | Could I have some coffee? | Coffee grows best at high altitude.
The government lowered taxes for families. | Families have to pay less tax now. | The minister resigned after the scandal.
A thief broke into the jewelry store. | The jeweler's shop was burgled. | She wore a silver necklace.
The hikers reached the summit at noon. | By midday the climbers stood on top of the mountain. | The mountain is visible from the city.
The lecture was boring and far too long. | The talk dragged on and nobody listened. | The university offers courses at night.
The mechanic changed the tires of the truck. | New tires were put on the lorry at the garage. | Truck drivers must rest every four hours.
Bees are dying because of pesticides. | Chemicals used by farmers kill bees. | Honey never spoils.
The bridge is being repaired until May. | Construction work on the bridge continues until spring. | The old bridge was built by the Romans.
She is allergic to peanuts. | Peanuts make her ill. | Peanut butter is popular with children.
The actor won an award for his latest film. | The movie earned its star a prize. | The cinema sells popcorn and ice cream.
Heavy snow blocked the mountain road. | The pass is closed because of snowfall. | The ski season lasts from December to March.
The students protested against higher fees. | There were demonstrations about tuition costs. | The students have an exam next week.
He has been learning Japanese for two years. | He began to study the Japanese language two years ago. | Tokyo hosted the games in summer.
The old man feeds pigeons every morning. | Each day an elderly man gives bread crumbs to the birds. | Pigeons can find their way home.
The vaccine protects against measles. | You will not get measles once you are vaccinated. | Nurses asked for higher wages.
"""  # noqa: E501


def composed(count: int, seed: int = 0) -> list[str]:
    """Different sentences from the grammar, such as "After work, the mayor fed the horses."."""
    source = random.Random(seed)
    frames, people, deeds, circumstances = map(_phrases, (_FRAMES, _PEOPLE, _DEEDS, _CIRCUMSTANCES))
    made: dict[str, None] = {}
    while len(made) < count:
        who, other = source.sample(people, 2)
        did, also = source.sample(deeds, 2)
        words = {"who": who, "other": other, "did": did, "also": also}
        text = source.choice(frames).format(how=source.choice(circumstances), **words)
        made[text[0].upper() + text[1:]] = None
    return list(made)


def written() -> list[tuple[str, str, str]]:
    """A sentence, a paraphrase, another sentence on its subject."""
    rows = [line.split(" | ") for line in _WRITTEN.strip().splitlines()]
    return [(sentence, same, other) for sentence, same, other in rows]


def _phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split(";")]
